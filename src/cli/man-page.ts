import type { Command } from "commander";

/** Returns a manual page, in roff, of what --help says of every command. */
export function manPage(program: Command, version: string): string {
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  return [
    `.TH PROCMAN 1 "" "procman ${version}"`,
    ".SH NAME",
    `procman \\- ${roff(program.description())}`,
    ".SH SYNOPSIS",
    ".B procman",
    "[options] COMMAND",
    ".SH OPTIONS",
    ...optionsOf(program),
    ".SH COMMANDS",
    ...commands.filter((each) => each.name() !== "help").flatMap((each) => section(each, "")),
    ".SH NOTES",
    ...verbatim(textAfter(program)),
    "",
  ].join("\n");
}

function section(command: Command, parents: string): string[] {
  const name = `${parents}${command.name()}`;
  const help = command.createHelp();
  const aliases = command.aliases().length > 0 ? [`Also: ${command.aliases().join(", ")}.`] : [];
  return [
    `.SS "${roff(`${name} ${command.usage()}`)}"`,
    roff(`${command.description()}.`),
    ...aliases.map(roff),
    ...help
      .visibleArguments(command)
      .flatMap((argument) => term(help.argumentTerm(argument), help.argumentDescription(argument))),
    ...optionsOf(command),
    ...verbatim(textAfter(command)),
    ...help
      .visibleCommands(command)
      .filter((each) => each.name() !== "help")
      .flatMap((each) => section(each, `${name} `)),
  ];
}

function optionsOf(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .flatMap((option) => term(help.optionTerm(option), help.optionDescription(option)));
}

function term(name: string, description: string): string[] {
  return [".TP", `.B ${roff(name)}`, roff(description)];
}

/** Returns what a command's help says after its options. */
function textAfter(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (piece) => (text += piece) });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}

function verbatim(text: string): string[] {
  return text === "" ? [] : [".PP", ".nf", ...text.split("\n").map(roff), ".fi"];
}

/** Escapes what roff would act on: backslashes, hyphens, and a dot or quote that begins a line. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/, "\\&");
}
