import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { App } from "../state/app.js";
import { errorWords } from "../state/notices.js";
import type { Route } from "../state/route.js";
import { END_FIELDS, type FieldName, LIMIT_FIELDS, StartForm } from "../state/start-form.js";
import type { SplitLine } from "../state/split-words.js";
import { visible } from "../state/words.js";

export interface StartViewProps {
  readonly app: App;
  readonly start: Route["start"] & {};
}

/** A form to start a job, with the command line as it will be taken apart. */
export function StartView({ app, start }: StartViewProps) {
  const form = useMemo(() => new StartForm(), []);
  const [isBusy, setBusy] = useState(start !== "new");
  const [unknown, setUnknown] = useState<unknown>();
  const like = start === "new" ? undefined : start.like;

  useEffect(() => {
    if (like === undefined) return;
    app.procman
      .get(like, { includeEnv: true })
      .then((job) => form.fill(job), setUnknown)
      .finally(() => setBusy(false));
  }, [app, form, like]);

  const submit = async (event: Event) => {
    event.preventDefault();
    const options = form.options();
    if (!options) return focusFirstError();
    setBusy(true);
    try {
      const job = await app.actions.start(options);
      app.router.openJob(job.id);
    } catch (error) {
      form.fail(error);
      focusFirstError();
    } finally {
      setBusy(false);
    }
  };

  const fields = form.fields.value;
  const split = form.split.value;
  const general = form.errors.value[""];
  return (
    <main class="start">
      <form onSubmit={(event) => void submit(event)}>
        <h1>{like === undefined ? "Start a job" : "Start like this one"}</h1>
        {unknown !== undefined && <p class="failure">{errorWords(unknown).text}</p>}
        <Field form={form} name="commandLine" label="Command line" wide>
          <textarea
            id="commandLine"
            rows={2}
            autofocus
            spellcheck={false}
            class="mono"
            placeholder="make -j8"
            value={fields.commandLine}
            aria-invalid={form.errors.value.commandLine !== undefined}
            onInput={(event) => form.change({ commandLine: event.currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void submit(event);
            }}
          />
        </Field>
        <Words split={split} line={fields.commandLine} />
        <Check
          form={form}
          name="usesShell"
          label="Run it in a shell (sh -c), which acts on | > $ *"
        />
        <Text form={form} name="workDir" label="Directory" placeholder="the server's own" />
        <Text
          form={form}
          name="name"
          label="Name"
          placeholder="none; at most one running job has it"
        />
        <Lines form={form} name="env" label="Environment" placeholder="NAME=VALUE" />
        <Lines form={form} name="labels" label="Labels" placeholder="project=site" />
        <Check form={form} name="clearEnv" label="Nothing of the server's own environment" />
        <Check
          form={form}
          name="pty"
          label="In a terminal, as for programs with colours and bars"
        />
        <Check form={form} name="stdin" label="With input, that can be sent while it runs" />
        <More form={form} names={LIMIT_FIELDS} title="Limits">
          <Text form={form} name="timeout" label="Time limit" placeholder="none; 10m, 2h" />
          <Text
            form={form}
            name="memoryMaxMb"
            label="Memory of all its processes, in MB"
            placeholder="no limit"
          />
          <Text
            form={form}
            name="cpus"
            label="CPUs for all its processes"
            placeholder="no limit; 1.5 is one and a half"
          />
          <Text
            form={form}
            name="pidsMax"
            label="Processes and threads at a time"
            placeholder="no limit"
          />
          <Text
            form={form}
            name="openFilesMax"
            label="Open files of each process"
            placeholder="the server's own"
          />
          <Text
            form={form}
            name="nice"
            label="Niceness"
            placeholder="the server's own; 19 gives way to all"
          />
          <Text
            form={form}
            name="cpuSeconds"
            label="CPU time of each process, in s"
            placeholder="no limit"
          />
          <Text
            form={form}
            name="memoryMb"
            label="Address space of each process, in MB"
            placeholder="no limit"
          />
          <Text
            form={form}
            name="logLimitMb"
            label="Keep of each log, in MB"
            placeholder="everything"
          />
        </More>
        <More form={form} names={END_FIELDS} title="Its end">
          <Text
            form={form}
            name="lease"
            label="Lease: it ends unless renewed within"
            placeholder="none; 30s, 5m"
          />
          <Check
            form={form}
            name="endRemaining"
            label="When the command ends, end what it leaves behind"
          />
          <Text
            form={form}
            name="onEnd"
            label="Then run, however it has ended"
            placeholder="nothing; notify-send done"
          />
          <Text
            form={form}
            name="onEndTimeout"
            label="That may take"
            placeholder="60s; an hour at most"
          />
          <Words split={form.onEndSplit.value} line={fields.onEnd} />
        </More>
        {general !== undefined && (
          <p class="failure wide" role="alert">
            {visible(general)}
          </p>
        )}
        <div class="buttons wide">
          <button type="button" onClick={() => history.back()}>
            Back
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            Start <kbd>Ctrl Enter</kbd>
          </button>
        </div>
      </form>
    </main>
  );
}

/** A command line as it will be taken apart. */
function Words({ split, line }: { readonly split: SplitLine; readonly line: string }) {
  return (
    <>
      <div class="words" aria-live="polite" aria-label="The words that it is taken apart into">
        {split.error !== undefined && line !== "" ? (
          <span class="failure">{split.error}</span>
        ) : (
          split.words.map((word, index) => (
            <code key={index} dir="ltr" class={index === 0 ? "program" : ""}>
              {visible(word) || "\u00a0"}
            </code>
          ))
        )}
      </div>
      {split.shellSigns.length > 0 && (
        <p class="hint">
          No shell sees this: {split.shellSigns.map((sign) => visible(sign)).join("  ")} will be
          passed as it is.
        </p>
      )}
    </>
  );
}

interface MoreProps {
  readonly form: StartForm;
  readonly names: readonly FieldName[];
  readonly title: string;
  readonly children: ComponentChildren;
}

/** Fields that few need: folded away until one of them is used, or wrong. */
function More({ form, names, title, children }: MoreProps) {
  const ref = useRef<HTMLDetailsElement>(null);
  const isUsed = form.uses(names);
  // Before the first field that is wrong gets the focus. What the user unfolds stays so.
  useLayoutEffect(() => {
    if (isUsed && ref.current) ref.current.open = true;
  }, [isUsed]);
  return (
    <details ref={ref} class="more">
      <summary>{title}</summary>
      <div class="fields">{children}</div>
    </details>
  );
}

function focusFirstError(): void {
  // Once the errors are drawn.
  requestAnimationFrame(() => document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
}

interface FieldProps {
  readonly form: StartForm;
  readonly name: FieldName;
  readonly label: string;
  readonly wide?: boolean;
  readonly children: ComponentChildren;
}

function Field({ form, name, label, wide = false, children }: FieldProps) {
  const error = form.errors.value[name];
  return (
    <div class={`field ${wide ? "wide" : ""}`}>
      <label for={name}>{label}</label>
      {children}
      {error !== undefined && (
        <span id={`${name}-error`} class="failure" role="alert">
          {visible(error)}
        </span>
      )}
    </div>
  );
}

type CheckName = "usesShell" | "clearEnv" | "pty" | "stdin" | "endRemaining";
type TextName = Exclude<FieldName, CheckName>;

interface InputProps {
  readonly form: StartForm;
  readonly name: TextName;
  readonly label: string;
  readonly placeholder: string;
}

function Text({ form, name, label, placeholder }: InputProps) {
  const isWrong = form.errors.value[name] !== undefined;
  return (
    <Field form={form} name={name} label={label}>
      <input
        id={name}
        spellcheck={false}
        autocomplete="off"
        placeholder={placeholder}
        value={form.fields.value[name]}
        aria-invalid={isWrong}
        aria-describedby={isWrong ? `${name}-error` : undefined}
        onInput={(event) => form.change({ [name]: event.currentTarget.value })}
      />
    </Field>
  );
}

function Lines({ form, name, label, placeholder }: InputProps) {
  const isWrong = form.errors.value[name] !== undefined;
  return (
    <Field form={form} name={name} label={`${label}, one a line`}>
      <textarea
        id={name}
        rows={3}
        class="mono"
        spellcheck={false}
        placeholder={placeholder}
        value={form.fields.value[name]}
        aria-invalid={isWrong}
        aria-describedby={isWrong ? `${name}-error` : undefined}
        onInput={(event) => form.change({ [name]: event.currentTarget.value })}
      />
    </Field>
  );
}

interface CheckProps {
  readonly form: StartForm;
  readonly name: CheckName;
  readonly label: string;
}

function Check({ form, name, label }: CheckProps) {
  const error = form.errors.value[name];
  return (
    <label class="check wide">
      <input
        type="checkbox"
        checked={form.fields.value[name]}
        onChange={(event) => form.change({ [name]: event.currentTarget.checked })}
      />{" "}
      {label}
      {error !== undefined && <span class="failure"> {visible(error)}</span>}
    </label>
  );
}
