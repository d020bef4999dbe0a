// Starts a command and follows it, with its progress; exits as the command did.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"procman.example/procmanv1"
)

func main() {
	address := os.Getenv("PROCMAN_ADDRESS")
	if address == "" {
		address = "127.0.0.1:7420"
	}
	// Since grpc-go 1.63: grpc.NewClient, with insecure.NewCredentials().
	connection, err := grpc.Dial(address, grpc.WithInsecure())
	check(err)
	procman := procmanv1.NewProcmanServiceClient(connection)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token())

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

func token() string {
	home, err := os.UserHomeDir()
	check(err)
	text, err := os.ReadFile(filepath.Join(home, ".cache/procman/token"))
	check(err)
	return strings.TrimSpace(string(text))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
