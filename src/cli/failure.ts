/** The exit codes. They are part of the command's contract: see docs/cli.md. */
export const EXIT = {
  done: 0,
  /** It ran, and the answer is no: a finding, a failed message, a question that was answered with no. */
  no: 1,
  usage: 2,
  noConnection: 3,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Why a command ends early: printed in one line on stderr. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
  }
}

export const usageError = (message: string) => new CommandFailure(EXIT.usage, message);

export const noConnection = (message: string) => new CommandFailure(EXIT.noConnection, message);
