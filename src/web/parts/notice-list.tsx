import type { Notices } from "../state/notices.js";

export function NoticeList({ notices }: { readonly notices: Notices }) {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.shown.value.map((notice) => (
        <div key={notice.number} class={`notice ${notice.kind}`}>
          <div>
            <p>{notice.text}</p>
            {notice.details.length > 0 && (
              <ul>
                {notice.details.map((detail) => (
                  <li key={detail}>{detail}</li>
                ))}
              </ul>
            )}
            {notice.offer && (
              <button
                type="button"
                onClick={() => {
                  notices.dismiss(notice);
                  notice.offer?.take();
                }}
              >
                {notice.offer.label}
              </button>
            )}
          </div>
          <button
            type="button"
            class="plain"
            aria-label="Dismiss"
            onClick={() => notices.dismiss(notice)}
          >
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
