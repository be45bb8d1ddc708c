package proxy

import (
	"bytes"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/weir-lb/weir/gateway/gatewaytest"
)

func TestRecordsAreFollowed(t *testing.T) {
	record := func(n int) []byte { return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...) }
	two := append(record(300), record(2)...)
	for _, tc := range []struct {
		name   string
		pieces [][]byte
		reads  int
		want   bool
	}{
		{"a record that nobody has read", [][]byte{record(300)}, 0, false},
		{"a record that was read", [][]byte{record(300)}, 1, true},
		{"two, one of them read", [][]byte{two}, 1, false},
		{"two, both read", [][]byte{two}, 2, true},
		{"a half one behind a whole one", [][]byte{two[:306]}, 1, false},
		{"a half header", [][]byte{two[:308]}, 1, false},
		{"the last of many pieces", [][]byte{two[:2], two[2:7], two[7:304], two[304:]}, 2, true},
		{"the last of many pieces, one of its records read", [][]byte{two[:2], two[2:7], two[7:304], two[304:]}, 1, false},
		{"another kind", [][]byte{{22, 3, 3, 0, 1, 0}}, 0, true},
		{"nothing in it", [][]byte{record(0)}, 1, true},
	} {
		var r records
		for _, p := range tc.pieces {
			r.came(p)
		}
		for range tc.reads {
			r.read()
		}
		if r.none() != tc.want {
			t.Errorf("%s: none is %v; want %v", tc.name, r.none(), tc.want)
		}
	}
}

// follower is the gateway's side of a connection: it reads as conn does.
type follower struct {
	net.Conn
	*records
}

func (f follower) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.came(p[:n])
	return n, err
}

// When records says that TLS holds nothing, all that was written so far has been read.
func TestTLSHoldsNothingWhenRecordsSaySo(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		authority := gatewaytest.NewAuthority(t, "records")
		cert, key := authority.Issue(t, gatewaytest.Leaf{Names: []string{"a.example"}})
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		r := rand.New(rand.NewPCG(3, uint64(version)))
		var sizes []int
		total := 0
		for range 2000 {
			n := 1 + r.IntN([]int{10, 600, 40000}[r.IntN(3)])
			sizes, total = append(sizes, n), total+n
		}
		wrote, read := make(chan error, 1), make(chan struct{})
		go func() {
			c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{ServerName: "a.example", RootCAs: authority.Pool, MaxVersion: version})
			if err == nil {
				defer c.Close()
				for _, n := range sizes {
					if _, err = c.Write(bytes.Repeat([]byte{1}, n)); err != nil {
						break
					}
				}
			}
			wrote <- err
			<-read
		}()
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		var rec records
		c := tls.Server(follower{nc, &rec}, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: version})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if version == tls.VersionTLS13 {
			rec.read()
		}
		got, said := 0, 0
		buf := make([]byte, 16<<10+1)
		for got < total {
			n, err := c.Read(buf)
			if got += n; err != nil {
				t.Fatal(err)
			}
			rec.read()
			if !rec.none() {
				continue
			}
			said++
			_ = nc.SetReadDeadline(time.Unix(1, 0)) // what TLS holds it gives without a look at the socket
			if n, err := c.Read(buf); n != 0 || !isTimeout(err) {
				t.Fatalf("%d bytes were left, %v", n, err)
			}
			_ = nc.SetReadDeadline(time.Time{})
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		close(read)
		if !rec.none() || said < 2 {
			t.Errorf("all is read: none is %v, and was said %d times", rec.none(), said)
		}
		t.Logf("it was said %d times of %d", said, len(sizes))
	}
}
