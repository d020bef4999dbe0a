import { createProcmanClient } from "procman/web";

declare global {
  interface Window {
    createProcmanClient: typeof createProcmanClient;
    /** Kills the server and starts it again, and lets the job go on. */
    interrupt(): Promise<void>;
  }
}

window.createProcmanClient = createProcmanClient;
