import { Argument, Command } from "commander";
import type { CommandContext } from "./command-context.js";

/*
 * The scripts hand what was typed to "procman complete --", whose last word is the one
 * to complete. It answers with lines: a value, a tab, what it is. Where it has none, the
 * shell offers files.
 */

const BASH = `_procman() {
  local line=\${COMP_LINE:0:COMP_POINT} words word
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  word=\${words[\${#words[@]}-1]}
  local IFS=$'\\n'
  COMPREPLY=($(procman complete -- "\${words[@]:1}" 2>/dev/null | cut -f 1))
  # What bash takes for the word begins after a "=".
  [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("\${COMPREPLY[@]#"\${word%=*}="}")
}
complete -o default -F _procman procman`;

const ZSH = `#compdef procman
_procman() {
  local -a values
  local line
  for line in "\${(@f)$(procman complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && values+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#values} )); then _describe procman values; else _files; fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _procman "$@"; else compdef _procman procman; fi`;

const FISH = `function __procman_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l values (procman complete -- $words[2..-1] 2>/dev/null)
  if test (count $values) -gt 0
    printf '%s\\n' $values
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c procman -f -a '(__procman_complete)'`;

const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH };

const HELP = `
Commands, options, job ids, labels, statuses and signals are completed. The shell
asks the server for jobs; no server is started for it.

Examples:
  eval "$(procman completion bash)"                     in ~/.bashrc
  eval "$(procman completion zsh)"                      in ~/.zshrc, after compinit
  procman completion fish > ~/.config/fish/completions/procman.fish`;

export function completionCommand(context: CommandContext): Command {
  return new Command("completion")
    .description("print a script that completes words in a shell")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(Object.keys(SCRIPTS)))
    .addHelpText("after", HELP)
    .action((shell: keyof typeof SCRIPTS) => context.cli.stdout.line(SCRIPTS[shell]));
}
