// Calls procman through grpc-go, as lines of JSON on stdin ask for it.
//
// See driver-client.ts for what they say.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"procman.example/gen/procmanv1"
)

type target struct{ Address, Ca, Cert, Key string }

type ask struct {
	Id       int             `json:"id"`
	Method   string          `json:"method"`
	Request  json.RawMessage `json:"request"`
	Metadata map[string]string
	Deadline float64
	Next     bool
	Leave    bool
}

type answer struct {
	Id      int             `json:"id"`
	Message json.RawMessage `json:"message,omitempty"`
	Done    bool            `json:"done,omitempty"`
	Error   *facts          `json:"error,omitempty"`
}

type facts struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Reason  string   `json:"reason,omitempty"`
	Domain  string   `json:"domain,omitempty"`
	JobId   string   `json:"jobId,omitempty"`
	Fields  []string `json:"fields"`
}

// A stream that is read when the next event is asked for, and not before.
type stream struct {
	next  chan struct{}
	leave context.CancelFunc
}

var (
	output  sync.Mutex
	service = procmanv1.File_procman_v1_procman_proto.Services().ByName("ProcmanService")
)

func main() {
	connection := connect(os.Args[1])
	streams := map[int]stream{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var ask ask
		must(json.Unmarshal(lines.Bytes(), &ask))
		switch {
		case ask.Next:
			streams[ask.Id].next <- struct{}{}
		case ask.Leave:
			streams[ask.Id].leave()
		case method(ask).IsStreamingServer():
			ctx, leave := contextOf(ask)
			next := make(chan struct{}, 1)
			streams[ask.Id] = stream{next, leave}
			go receive(ctx, connection, ask, next)
		default:
			go call(connection, ask)
		}
	}
}

func connect(words string) *grpc.ClientConn {
	var target target
	must(json.Unmarshal([]byte(words), &target))
	option := grpc.WithInsecure()
	if target.Ca != "" {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(read(target.Ca))
		config := &tls.Config{RootCAs: roots}
		if target.Cert != "" {
			pair, err := tls.X509KeyPair(read(target.Cert), read(target.Key))
			must(err)
			config.Certificates = []tls.Certificate{pair}
		}
		option = grpc.WithTransportCredentials(credentials.NewTLS(config))
	}
	connection, err := grpc.Dial(target.Address, option)
	must(err)
	return connection
}

func call(connection *grpc.ClientConn, ask ask) {
	ctx, leave := contextOf(ask)
	defer leave()
	request, response := messages(ask)
	err := connection.Invoke(ctx, path(ask), request, response)
	say(ask, response, err)
}

func receive(ctx context.Context, connection *grpc.ClientConn, ask ask, next chan struct{}) {
	request, response := messages(ask)
	events, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path(ask))
	if err == nil {
		err = events.SendMsg(request)
	}
	if err == nil {
		err = events.CloseSend()
	}
	for range next {
		if err == nil {
			err = events.RecvMsg(response)
		}
		say(ask, response, err)
	}
}

func contextOf(ask ask) (context.Context, context.CancelFunc) {
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.New(ask.Metadata))
	if ask.Deadline > 0 {
		return context.WithTimeout(ctx, time.Duration(ask.Deadline*float64(time.Second)))
	}
	return context.WithCancel(ctx)
}

func method(ask ask) protoreflect.MethodDescriptor {
	return service.Methods().ByName(protoreflect.Name(ask.Method))
}

func path(ask ask) string {
	return fmt.Sprintf("/%s/%s", service.FullName(), ask.Method)
}

func messages(ask ask) (request, response proto.Message) {
	request = newMessage(method(ask).Input())
	must(protojson.Unmarshal(ask.Request, request))
	return request, newMessage(method(ask).Output())
}

func newMessage(descriptor protoreflect.MessageDescriptor) proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	must(err)
	return kind.New().Interface()
}

func say(ask ask, message proto.Message, err error) {
	answer := answer{Id: ask.Id}
	switch {
	case err == io.EOF:
		answer.Done = true
	case err != nil:
		answer.Error = factsOf(err)
	default:
		text, err := protojson.Marshal(message)
		must(err)
		answer.Message = text
	}
	line, err := json.Marshal(answer)
	must(err)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(line))
}

func factsOf(err error) *facts {
	status, _ := status.FromError(err)
	facts := &facts{
		Code:    code.Code(status.Code()).String(),
		Message: status.Message(),
		Fields:  []string{},
	}
	for _, detail := range status.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			facts.Reason, facts.Domain = detail.Reason, detail.Domain
			facts.JobId = detail.Metadata["job_id"]
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				facts.Fields = append(facts.Fields, violation.Field)
			}
		}
	}
	return facts
}

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	must(err)
	return bytes
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
}
