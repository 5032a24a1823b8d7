// Shows that `leveret/nestjs` works on each major version of NestJS, compiled by tsc and by SWC, as ES modules and as CommonJS.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const application = `
import 'reflect-metadata';
import { Injectable, Module, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Broker, ConfigurationError, queue } from 'leveret';
import type { Producer } from 'leveret';
import { Consumer, getMessage, InjectProducer, LeveretHealthIndicator, LeveretModule } from 'leveret/nestjs';
import type { MessageOf } from 'leveret/nestjs';
import { z } from 'zod';

const emails = queue('emails', z.object({ to: z.string() }));

@Injectable()
class Log {
  readonly lines: string[] = [];
}

@Injectable()
class Seeing {
  constructor(readonly log: Log) {}
  intercept(context: ExecutionContext, next: CallHandler) {
    this.log.lines.push(context.getType() + ' ' + getMessage(context)?.attempt);
    return next.handle();
  }
}

@UseInterceptors(Seeing)
@Consumer(emails)
class Mailer {
  constructor(readonly log: Log) {}
  async handle({ body }: MessageOf<typeof emails>) {
    this.log.lines.push(body.to);
  }
}

@Injectable()
class Sender {
  constructor(readonly broker: Broker, @InjectProducer(emails) readonly outgoing: Producer<typeof emails>) {}
}

@Module({
  imports: [LeveretModule.forRoot({ url: 'memory:' }), LeveretModule.forFeature([emails])],
  providers: [Mailer, Sender, Log],
})
class AppModule {}

@Module({ imports: [LeveretModule.forRoot({ url: '' })] })
class WrongModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  const { broker, outgoing } = app.get(Sender);
  if (!(broker instanceof Broker) || app.get(Broker) !== broker) throw new Error('another Broker');
  await outgoing.send({ to: 'ada' });
  const { lines } = app.get(Log);
  while (lines.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const { leveret } = await app.get(LeveretHealthIndicator).isReady();
  await app.close();
  const error = await NestFactory.createApplicationContext(WrongModule, { logger: false }).catch((it: unknown) => it);
  console.log(lines.join(), leveret.status, broker.state.status, error instanceof ConfigurationError);
}
void main();
`;

const expected = 'leveret 1,ada up closed true\n';

const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2023', 'ESNext.Disposable'],
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
};

const swcOptions = (type) => ({
  swcrc: false,
  module: { type },
  jsc: {
    target: 'es2022',
    keepClassNames: true,
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
  },
});

/** Runs the application in a project that has the packages of one version of NestJS, leveret, TypeScript and SWC. */
export async function checkNestJs(project) {
  for (const kind of ['module', 'commonjs']) {
    const home = join(project, kind);
    mkdirSync(home, { recursive: true });
    writeFileSync(
      join(home, 'package.json'),
      JSON.stringify({ name: `app-${kind}`, private: true, type: kind }),
    );
    writeFileSync(join(home, 'app.ts'), application);
    const options = { ...compilerOptions, module: 'NodeNext', outDir: 'tsc' };
    writeFileSync(
      join(home, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: ['app.ts'] }),
    );
    await run(['../node_modules/typescript/bin/tsc'], home);
    const swc = `
      const swc = require('@swc/core');
      const { code } = swc.transformFileSync('app.ts', ${JSON.stringify(swcOptions(kind === 'module' ? 'es6' : 'commonjs'))});
      fs.mkdirSync('swc', { recursive: true });
      fs.writeFileSync('swc/app.js', code);`;
    await run(['--input-type=commonjs', '-e', swc], home);
    for (const compiler of ['tsc', 'swc']) {
      const output = await run([join(compiler, 'app.js')], home);
      assert.equal(output, expected, `NestJS in ${project}, ${kind}, by ${compiler}`);
    }
  }
}

async function run(args, cwd) {
  try {
    const { stdout } = await execute(process.execPath, args, { cwd, timeout: 120_000 });
    return stdout;
  } catch ({ stdout, stderr, message }) {
    throw new Error(`${message}\n${stdout}${stderr}`);
  }
}
