// Command interop is a client and an endpoint of gRPC's own interoperability tests (grpc/grpc:
// doc/interop-test-descriptions.md), which are grpc-go's. grpc-go's own programs do the same and need a hundred packages more,
// for clouds.
//
//	interop serve NAME            an endpoint; it prints its address, and puts its name into the head of each response. The service
//	                              "shop" is healthy until the process gets SIGUSR1
//	interop case NAME ADDRESS CA  one case; CA is a file, "" without TLS. Failed, it ends with status 1
//	interop soak N ADDRESS CA     unary calls on one connection, several at a time, that may be repeated once if they fail as
//	                              UNAVAILABLE. It prints "both" when two endpoints have answered N each, ends when one has answered
//	                              20 N in a row, and says how many were repeated. One that fails in the end ends it with status 1
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// nameField is the field of a response's head that says which endpoint it comes from.
const nameField = "x-endpoint"

// againField is what grpc-go says with a call that it repeats, and here comes back.
const againField = "grpc-previous-rpc-attempts"

func main() {
	var err error
	switch a := os.Args[1:]; {
	case len(a) == 2 && a[0] == "serve":
		err = serve(a[1])
	case len(a) == 4 && a[0] == "case":
		err = play(a[1], a[2], a[3])
	case len(a) == 4 && a[0] == "soak":
		err = soak(a[1], a[2], a[3])
	default:
		err = fmt.Errorf("got %q; want serve NAME, case NAME ADDRESS CA, or soak N ADDRESS CA", a)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(name string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mark := metadata.Pairs(nameField, name)
	s := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			got, _ := metadata.FromIncomingContext(ctx)
			_ = grpc.SetHeader(ctx, metadata.Join(mark, metadata.MD{"x-again": got.Get(againField)}))
			return next(ctx, in)
		}),
		grpc.StreamInterceptor(func(srv any, st grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			_ = st.SetHeader(mark)
			return next(srv, st)
		}),
	)
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	well := health.NewServer()
	well.SetServingStatus("shop", healthgrpc.HealthCheckResponse_SERVING)
	healthgrpc.RegisterHealthServer(s, well)
	ill := make(chan os.Signal, 1)
	signal.Notify(ill, syscall.SIGUSR1)
	go func() {
		<-ill
		well.SetServingStatus("shop", healthgrpc.HealthCheckResponse_NOT_SERVING)
	}()
	fmt.Println(ln.Addr())
	return s.Serve(ln)
}

// config lets calls be repeated.
const config = `{"methodConfig": [{"name": [{"service": "grpc.testing.TestService", "method": "EmptyCall"}],
	"retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

func dial(address, ca string) (*grpc.ClientConn, error) {
	c := insecure.NewCredentials()
	if ca != "" {
		var err error
		if c, err = credentials.NewClientTLSFromFile(ca, "localhost"); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(c), grpc.WithDefaultServiceConfig(config))
}

// cases are those that need no credentials. One that fails ends the program.
var cases = map[string]func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption){
	"empty_unary":                 interop.DoEmptyUnaryCall,
	"large_unary":                 interop.DoLargeUnaryCall,
	"client_streaming":            interop.DoClientStreaming,
	"server_streaming":            interop.DoServerStreaming,
	"ping_pong":                   interop.DoPingPong,
	"empty_stream":                interop.DoEmptyStream,
	"timeout_on_sleeping_server":  interop.DoTimeoutOnSleepingServer,
	"cancel_after_begin":          interop.DoCancelAfterBegin,
	"cancel_after_first_response": interop.DoCancelAfterFirstResponse,
	"status_code_and_message":     interop.DoStatusCodeAndMessage,
	"special_status_message":      interop.DoSpecialStatusMessage,
	"custom_metadata":             interop.DoCustomMetadata,
}

func play(name, address, ca string) error {
	conn, err := dial(address, ca)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch run := cases[name]; {
	case name == "unimplemented_method":
		interop.DoUnimplementedMethod(ctx, conn)
	case name == "unimplemented_service":
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
	case run != nil:
		run(ctx, testgrpc.NewTestServiceClient(conn))
	default:
		return fmt.Errorf("case %q is not known", name)
	}
	return nil
}

func soak(count, address, ca string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	conn, err := dial(address, ca)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	t := tally{want: n, from: map[string]int{}}
	client := testgrpc.NewTestServiceClient(conn)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for more := true; more; {
				var head metadata.MD
				_, err := client.EmptyCall(ctx, new(testgrpc.Empty), grpc.Header(&head))
				more = t.count(head, err)
			}
		})
	}
	all.Wait()
	if t.err != nil {
		return fmt.Errorf("after calls to %v, %d in a row to %s: %w", t.from, t.row, t.last, t.err)
	}
	fmt.Println("repeated", t.again)
	return nil
}

const callers = 8

// tally counts calls.
type tally struct {
	want int

	mu    sync.Mutex
	from  map[string]int // by endpoint
	both  bool
	last  string
	row   int // that came from last
	again int // that were repeated
	err   error
}

// count takes what came of a call, and reports whether there is to be another.
func (t *tally) count(head metadata.MD, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil || t.row == 20*t.want && t.both {
		return false
	}
	if t.err = err; err != nil {
		return false
	}
	name := strings.Join(head.Get(nameField), ",")
	if name != t.last {
		t.last, t.row = name, 0
	}
	t.row++
	t.from[name]++
	t.again += len(head.Get("x-again"))
	if !t.both && len(t.from) == 2 && t.from["one"] >= t.want && t.from["two"] >= t.want {
		t.both = true
		fmt.Println("both")
	}
	return t.row < 20*t.want || !t.both
}
