// Starts a command and follows it, with its progress; exits as the command did.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	"procman.example/procmanv1"
)

func main() {
	// Since grpc-go 1.63: grpc.NewClient, with insecure.NewCredentials().
	connection, err := grpc.Dial("unix://"+stateDir()+"/procman.sock", grpc.WithInsecure())
	check(err)
	procman := procmanv1.NewProcmanServiceClient(connection)
	ctx := context.Background()

	started, err := procman.Start(ctx, &procmanv1.StartRequest{
		Command: os.Args[1],
		Args:    os.Args[2:],
	})
	check(err)
	events, err := procman.Watch(ctx, &procmanv1.WatchRequest{Id: started.Job.Id})
	check(err)
	for {
		event, err := events.Recv()
		check(err)
		if line := event.GetLine(); line != nil {
			fmt.Printf("%3.0f%% | %s\n", line.GetProgress().GetPercent(), line.Text)
		}
		if ended := event.GetEnded(); ended != nil {
			fmt.Println(ended.Job.Status, "with exit code", ended.Job.GetExitCode())
			os.Exit(int(ended.Job.GetExitCode()))
		}
	}
}

func stateDir() string {
	if dir := os.Getenv("PROCMAN_STATE_DIR"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	check(err)
	return filepath.Join(home, ".cache/procman")
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
