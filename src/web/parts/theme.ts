import { computed, signal } from "@preact/signals";

const STORED = "procman-theme";
const media = matchMedia("(prefers-color-scheme: dark)");

const choice = signal(localStorage.getItem(STORED));
const system = signal(media.matches);
media.addEventListener("change", () => {
  system.value = media.matches;
});

/** Light or dark: as the system is, unless the user has chosen. */
export const theme = {
  isDark: computed(() => (choice.value === null ? system.value : choice.value === "dark")),
  toggle(): void {
    const next = theme.isDark.value ? "light" : "dark";
    const isSystems = (next === "dark") === system.value;
    choice.value = isSystems ? null : next;
    if (isSystems) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, next);
  },
};
