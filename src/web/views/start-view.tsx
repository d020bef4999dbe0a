import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { App } from "../state/app.js";
import { errorWords } from "../state/notices.js";
import type { Route } from "../state/route.js";
import { type FieldName, StartForm } from "../state/start-form.js";
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
            onInput={(event) => form.change({ commandLine: event.currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void submit(event);
            }}
          />
        </Field>
        <div class="words" aria-live="polite" aria-label="The words that it is taken apart into">
          {split.error !== undefined && fields.commandLine !== "" ? (
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
        <Lines
          form={form}
          name="env"
          label="Environment, added to the server's"
          placeholder="NAME=VALUE"
        />
        <Lines form={form} name="labels" label="Labels" placeholder="project=site" />
        <Text form={form} name="timeout" label="Time limit" placeholder="none; 10m, 2h" />
        <Text
          form={form}
          name="logLimitMb"
          label="Keep of each log, in MB"
          placeholder="everything"
        />
        <Text
          form={form}
          name="cpuSeconds"
          label="CPU limit of each process, in s"
          placeholder="none"
        />
        <Text
          form={form}
          name="memoryMb"
          label="Memory limit of each process, in MB"
          placeholder="none"
        />
        <Check
          form={form}
          name="pty"
          label="In a terminal, as for programs with colours and bars"
        />
        <Check form={form} name="stdin" label="With input, that can be sent while it runs" />
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

type TextName = Exclude<FieldName, "usesShell" | "pty" | "stdin">;

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
  readonly name: "usesShell" | "pty" | "stdin";
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
