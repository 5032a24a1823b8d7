/** What is opened: a channel of the port, or one that a caller has made of it. */
interface Opened {
  readonly isOpen: boolean;
  close(): Promise<void>;
}

/**
 * Opens a channel for a caller that declares on it before it uses it. Many callers then declare side by side, where
 * they would wait for one of the declarer's few channels. A refusal closes the channel: the next declaration
 * opens another one.
 *
 * @param open - opens a channel; called again after each refusal
 * @param declare - declares what is missing
 */
export async function openDeclared<C extends Opened>(
  open: () => Promise<C>,
  declare: (openChannel: () => Promise<C>) => Promise<void>,
): Promise<C> {
  let channel: C | undefined;
  const opened = async () => {
    if (!channel?.isOpen) channel = await open();
    return channel;
  };
  try {
    await opened();
    await declare(opened);
    return await opened();
  } catch (error) {
    await channel?.close();
    throw error;
  }
}
