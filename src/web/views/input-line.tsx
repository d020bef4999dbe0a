import { useState } from "preact/hooks";
import type { InputState } from "../state/input-state.js";
import { errorWords } from "../state/notices.js";

/** Sends lines to the standard input of a job that has no terminal. */
export function InputLine({ input }: { readonly input: InputState }) {
  const [text, setText] = useState("");
  const error = input.error.value;
  if (input.isClosed.value) return <p class="hint">The input is closed.</p>;
  const send = async (event: Event) => {
    event.preventDefault();
    await input.send(`${text}\n`);
    if (!input.error.value) setText("");
  };
  return (
    <form class="input-line" onSubmit={(event) => void send(event)}>
      <input
        aria-label="A line of input for the job"
        placeholder="A line of input for the job"
        spellcheck={false}
        autocomplete="off"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit">Send</button>
      <button
        type="button"
        title="The job then reads the end of its input"
        onClick={() => void input.close()}
      >
        Close input
      </button>
      {error && (
        <span class="failure" role="alert">
          {errorWords(error).text}
        </span>
      )}
    </form>
  );
}
