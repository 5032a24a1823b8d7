import ts from 'typescript';
import type { Plugin } from 'vitest/config';

/** The files that have decorators in them. */
const WITH_DECORATORS = /\/(?:test|examples)\/nestjs\/[^?]*\.ts$/;

const compilers = {
  tsc: (code: string, fileName: string) => {
    const { outputText, sourceMapText } = ts.transpileModule(code, {
      fileName,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        sourceMap: true,
      },
    });
    return { code: outputText, map: sourceMapText ?? null };
  },
  swc: async (code: string, filename: string) => {
    const { default: swc } = await import('@swc/core');
    const { code: output, map } = await swc.transform(code, {
      filename,
      swcrc: false,
      sourceMaps: true,
      module: { type: 'es6' },
      jsc: {
        target: 'es2022',
        keepClassNames: true,
        parser: { syntax: 'typescript', decorators: true },
        transform: {
          legacyDecorator: true,
          decoratorMetadata: true,
          useDefineForClassFields: true,
          verbatimModuleSyntax: true,
        },
      },
    });
    return { code: output, map: map ?? null };
  },
};

/** Nest reads the types of constructor parameters from metadata, which the compiler of vitest does not write. */
export function compiledBy(compiler: keyof typeof compilers): Plugin {
  return {
    name: `decorators-by-${compiler}`,
    enforce: 'pre',
    transform: (code, id) => (WITH_DECORATORS.test(id) ? compilers[compiler](code, id) : undefined),
  };
}
