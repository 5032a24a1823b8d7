import { commands, firstWords, optionsOf, QUEUES, SHELLS, secondWords } from './words.js';

/** Works with the bash 3.2 of macOS, and without the package bash-completion. */
export function bashScript(): string {
  const groups = [...secondWords()].map(
    ([word, under]) => `    ${word}) words='${under.map(({ name }) => name.split(' ')[1]).join(' ')}' ;;`,
  );
  const options = commands.map((command) => {
    const all = optionsOf(command).map(([name]) => `--${name}`);
    return `    '${command.name}') options='${all.join(' ')}'; kind='${command.completes ?? ''}' ;;`;
  });
  const valued = new Set(
    commands
      .flatMap((command) =>
        optionsOf(command).flatMap(([name, spec]) =>
          spec.type === 'string' ? [[name, spec.complete ?? 'none']] : [],
        ),
      )
      .map(([name, complete]) => `${complete} ${name}`),
  );
  const namesOf = (kind: string) =>
    [...valued].filter((it) => it.startsWith(`${kind} `)).map((it) => `--${it.slice(kind.length + 1)}`);
  return `# Completion of leveret for bash. Use it with: source <(leveret completion bash)
_leveret_offer() {
  local word
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n $word && $word == "$1"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
  done
}

_leveret() {
  # bash takes a ':' for the end of a word, and queues have it in their names.
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local first=\${COMP_WORDS[1]-} second=\${COMP_WORDS[2]-} name words='' options='' kind=''
  if ((COMP_CWORD == 1)); then
    _leveret_offer "$current" <<<"${firstWords()
      .map(([word]) => word)
      .join('\n')}
--help
--version"
    return
  fi
  name=$first
  case $first in
${groups.join('\n')}
  esac
  if [[ -n $words ]]; then
    if ((COMP_CWORD == 2)); then
      _leveret_offer "$current" <<<"\${words// /$'\\n'}"
      return
    fi
    name="$first $second"
  fi
  case $name in
${options.join('\n')}
    *) return ;;
  esac
  case $previous in
    ${namesOf('file').join('|')})
      COMPREPLY=()
      while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$current")
      return ;;
    ${namesOf('none').join('|')}) COMPREPLY=(); return ;;
  esac
  if [[ $current == -* ]]; then
    _leveret_offer "$current" <<<"\${options// /$'\\n'}"
    return
  fi
  case $kind in
    queue) _leveret_offer "$current" < <(${QUEUES}) ;;
    shell) _leveret_offer "$current" <<<"${SHELLS.join('\n')}" ;;
    file)
      COMPREPLY=()
      while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$current") ;;
  esac
}

complete -o filenames -F _leveret leveret 2>/dev/null || complete -F _leveret leveret
`;
}
