package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// healthCheck is the method that servers of gRPC say with how they do (grpc/grpc: doc/health-checking.md, and
// grpc/health/v1/health.proto).
const healthCheck = "/grpc.health.v1.Health/Check"

// maxHealthAnswer is far more than an answer takes.
const maxHealthAnswer = 1 << 10

// grpc checks the endpoint at address by what it says of the service, or of itself if that is "".
func (p Probe) grpc(ctx context.Context, t *http.Transport, address string) error {
	scheme := "http://"
	if p.TLS != nil {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+address+healthCheck, bytes.NewReader(healthRequest(p.Service)))
	if err != nil {
		return err
	}
	req.Host = p.Host
	for name, value := range map[string]string{
		"User-Agent": "weir-probe", "Content-Type": "application/grpc", "Te": "trailers",
		"Grpc-Timeout": strconv.FormatInt(max(int64(p.Timeout/time.Millisecond), 1), 10) + "m",
	} {
		req.Header.Set(name, value)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthAnswer+1))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, want 200 and an answer of gRPC", resp.StatusCode)
	}
	code, message := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if code == "" { // there is nothing but a head
		code, message = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	if code != "0" {
		return fmt.Errorf("grpc-status %q (%s), want 0", code, message)
	}
	return healthAnswer(body)
}

// healthRequest is a whole HealthCheckRequest, with the five bytes that go before each message.
func healthRequest(service string) []byte {
	var m []byte
	if service != "" {
		const field1 = 1<<3 | 2 // of bytes
		m = append(binary.AppendUvarint([]byte{field1}, uint64(len(service))), service...)
	}
	const plain = 0 // not compressed
	return append(binary.BigEndian.AppendUint32([]byte{plain}, uint32(len(m))), m...)
}

var errHealthAnswer = errors.New("an answer that is no HealthCheckResponse")

// healthAnswer says what is wrong with what a HealthCheckResponse says.
func healthAnswer(b []byte) error {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return errHealthAnswer
	}
	status := uint64(0) // what a message that leaves it out means
	for b = b[5:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return errHealthAnswer
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return errHealthAnswer
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			if tag>>3 == 1 {
				status = v
			}
		case 2: // a field of a later version
			if v > uint64(len(b)) {
				return errHealthAnswer
			}
			b = b[v:]
		default:
			return errHealthAnswer
		}
	}
	const serving = 1
	if status == serving {
		return nil
	}
	name := strconv.FormatUint(status, 10)
	if names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}; status < uint64(len(names)) {
		name = names[status]
	}
	return fmt.Errorf("%s, want SERVING", name)
}
