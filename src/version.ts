/** The version of this package, as the server's management page shows it. A test holds it equal to package.json's. */
export const VERSION = '0.1.0';
