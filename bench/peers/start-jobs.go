// start-jobs DIR CALLERS COUNT WARM_UP UNTIL_END DURABLE: the least that a Go
// program does to start jobs as procman does. Each runs `true` in a session of
// its own, with two log files and a state.json that is replaced when it ends.
// With DURABLE, what it has answered for is synced. There is no runner: what ends
// after this program is not recorded. Prints what each job took as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type state struct {
	ID        string     `json:"id"`
	Command   string     `json:"command"`
	Args      []string   `json:"args"`
	Pid       int        `json:"pid"`
	Status    string     `json:"status"`
	Started   time.Time  `json:"started"`
	ExitCode  *int       `json:"exitCode,omitempty"`
	Completed *time.Time `json:"completed,omitempty"`
}

type result struct {
	Seconds     float64   `json:"seconds"`
	LatenciesMs []float64 `json:"latenciesMs"`
}

var (
	dir      string
	untilEnd bool
	durable  bool
	nextID   int64
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 7 {
		log.Fatal("start-jobs DIR CALLERS COUNT WARM_UP UNTIL_END DURABLE")
	}
	dir = os.Args[1]
	callers, count, warmUp := number(os.Args[2]), number(os.Args[3]), number(os.Args[4])
	untilEnd, durable = os.Args[5] == "true", os.Args[6] == "true"
	runAll(callers, warmUp)
	check(json.NewEncoder(os.Stdout).Encode(runAll(callers, count)))
}

func runAll(callers, count int) result {
	latencies := make([]float64, count)
	var next int64 = -1
	var calling, running sync.WaitGroup
	begin := time.Now()
	for i := 0; i < callers; i++ {
		calling.Add(1)
		go func() {
			defer calling.Done()
			for {
				index := int(atomic.AddInt64(&next, 1))
				if index >= count {
					return
				}
				start := time.Now()
				ended := startJob()
				if untilEnd {
					<-ended
				} else {
					running.Add(1)
					go func() { <-ended; running.Done() }()
				}
				latencies[index] = float64(time.Since(start)) / float64(time.Millisecond)
			}
		}()
	}
	calling.Wait()
	seconds := time.Since(begin).Seconds()
	running.Wait()
	return result{seconds, latencies}
}

// startJob returns when the job is recorded as running; what it returns is closed
// when its end is recorded.
func startJob() <-chan struct{} {
	id := fmt.Sprintf("job%09d", atomic.AddInt64(&nextID, 1))
	jobDir := filepath.Join(dir, id)
	check(os.Mkdir(jobDir, 0o700))
	stdout, stderr := createLog(jobDir, "stdout.log"), createLog(jobDir, "stderr.log")
	command := exec.Command("true")
	command.Stdout, command.Stderr = stdout, stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(command.Start())
	stdout.Close()
	stderr.Close()
	job := state{
		ID: id, Command: "true", Args: []string{}, Pid: command.Process.Pid,
		Status: "running", Started: time.Now(),
	}
	write(jobDir, job)
	if durable {
		syncPath(dir)
	}
	ended := make(chan struct{})
	go func() {
		check(command.Wait())
		exitCode, now := command.ProcessState.ExitCode(), time.Now()
		job.Status, job.ExitCode, job.Completed = "completed", &exitCode, &now
		write(jobDir, job)
		close(ended)
	}()
	return ended
}

func createLog(jobDir, name string) *os.File {
	file, err := os.OpenFile(filepath.Join(jobDir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(err)
	return file
}

func write(jobDir string, job state) {
	bytes, err := json.MarshalIndent(job, "", "  ")
	check(err)
	path := filepath.Join(jobDir, "state.json")
	check(os.WriteFile(path+".new", bytes, 0o600))
	if durable {
		syncPath(path + ".new")
	}
	check(os.Rename(path+".new", path))
	if durable {
		syncPath(jobDir)
	}
}

func syncPath(path string) {
	file, err := os.Open(path)
	check(err)
	check(file.Sync())
	file.Close()
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
