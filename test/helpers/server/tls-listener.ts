import type { ServerCertificate } from './types.js';

/** The files of a TLS listener, by their names. */
export function tlsFiles({ ca, cert, key }: ServerCertificate): ReadonlyMap<string, string> {
  return new Map([
    ['tls-ca.pem', ca],
    ['tls-cert.pem', cert],
    ['tls-key.pem', key],
  ]);
}

/** The lines of `rabbitmq.conf` that make it, with its files in this folder. */
export function tlsConfiguration(folder: string, listen: string): readonly string[] {
  return [
    `listeners.ssl.default = ${listen}`,
    `ssl_options.cacertfile = ${folder}/tls-ca.pem`,
    `ssl_options.certfile = ${folder}/tls-cert.pem`,
    `ssl_options.keyfile = ${folder}/tls-key.pem`,
    'ssl_options.verify = verify_peer',
    'ssl_options.fail_if_no_peer_cert = true',
  ];
}
