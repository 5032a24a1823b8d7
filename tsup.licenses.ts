/** Above what is built of bundled packages. */
export const LICENSES =
  '/*! Includes p-retry and is-network-error: MIT License, Copyright (c) Sindre Sorhus */';
