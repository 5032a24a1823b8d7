import { connect } from 'amqplib';

/** amqplib's connections to one server, which are closed, or dropped, together. */
export function connectionsTo(url) {
  const connections = [];
  return {
    async open() {
      const it = await connect(url, { noDelay: true });
      connections.push(it);
      return it;
    },
    close: () => Promise.all(connections.map((it) => it.close())),
    /** Not in order: for connections whose server amqplib does not hear any more. */
    drop() {
      for (const { connection } of connections) connection.stream.destroy();
    },
  };
}
