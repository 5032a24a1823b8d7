/** Holds everything that waits for it until a test opens it, or ends. */
export interface Gate extends Disposable {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open, [Symbol.dispose]: open };
}
