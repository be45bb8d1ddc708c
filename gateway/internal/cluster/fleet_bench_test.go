package cluster

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/weir-lb/weir/discovery"
	"github.com/weir-lb/weir/policies"
)

// Endpoints in another process, so that what they do is not taken for health work. It answers every connection with the
// head of a response.
const fleetVariable = "WEIR_FLEET_ENDPOINT"

func init() {
	if os.Getenv(fleetVariable) == "" {
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			defer conn.Close()
			var head [4096]byte
			if n, _ := conn.Read(head[:]); n > 0 {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			}
		}()
	}
}

func fleetEndpoint(b *testing.B) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fleetVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return line[:len(line)-1]
}

// BenchmarkFleet is the health work of 10,000 endpoints in 200 clusters: the share of one core that it takes, what it
// holds of memory, and how long a flip of one endpoint takes to be in what picks see. One iteration is 20 s long.
func BenchmarkFleet(b *testing.B) {
	const clusters, endpoints = 200, 50
	for _, c := range []struct {
		name  string
		set   func(s *Settings)
		beats bool
	}{
		{"status_alone", func(*Settings) {}, false},
		{"n+1", func(s *Settings) {
			s.Redundancy = &Redundancy{Spares: 5, Redundancy: policies.Redundancy{Mode: policies.WithSpares, Hold: 10 * time.Second}}
		}, false},
		{"tcp_every_1s", func(s *Settings) {
			s.Probe = &Probe{Interval: time.Second, Timeout: time.Second, Fall: 3, Rise: 2}
		}, false},
		{"tcp_every_10s", func(s *Settings) {
			s.Probe = &Probe{Interval: 10 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2}
		}, false},
		{"http_every_10s", func(s *Settings) {
			s.Probe = &Probe{Path: "/", Interval: 10 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2}
		}, false},
		{"heartbeats_every_5s", func(s *Settings) {
			s.Heartbeat = 15 * time.Second
			s.Accrual = Accrual{Threshold: 8, MinSigma: 100 * time.Millisecond, Pause: 5 * time.Second}
		}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			address := fleetEndpoint(b)
			leases, err := NewLeases(4 * clusters * endpoints)
			if err != nil {
				b.Fatal(err)
			}
			defer leases.Close()
			s := settings()
			s.Policy, _ = policies.ByName("p2c")
			s.Prober = NewProber(256)
			s.Outlier = Outlier{Consecutive: 5, BaseEjection: 30 * time.Second, MaxEjected: 0.5}
			c.set(&s)
			var all []*Cluster
			var instances []discovery.Instance
			for i := range endpoints {
				in := instance(fmt.Sprintf("e%02d", i))
				in.Address = address
				instances = append(instances, in)
			}
			for i := range clusters {
				cl, err := New(fmt.Sprint("c", i), s, leases, discard)
				if err != nil {
					b.Fatal(err)
				}
				defer cl.Close()
				cl.Apply(live(instances...))
				all = append(all, cl)
			}
			stop := make(chan struct{})
			defer close(stop)
			if c.beats {
				go func() { // 2,000 a second
					tick := time.NewTicker(5 * time.Millisecond)
					defer tick.Stop()
					for n := 0; ; {
						select {
						case <-stop:
							return
						case <-tick.C:
						}
						for range 10 {
							_, _ = all[n%clusters].Beat(fmt.Sprintf("e%02d", n/clusters%endpoints), time.Time{})
							n++
						}
					}
				}()
			}
			time.Sleep(2 * time.Second)
			var flips []time.Duration
			for b.Loop() {
				before, began := cpu(b), time.Now()
				for time.Since(began) < 20*time.Second {
					time.Sleep(200 * time.Millisecond)
					cl := all[len(flips)%clusters]
					next := slices.Clone(instances)
					next[len(flips)%endpoints].Status = discovery.Critical
					flipped := time.Now()
					cl.Apply(live(next...))
					for cl.Load().View.Usable(len(flips) % endpoints) {
						runtime.Gosched()
					}
					flips = append(flips, time.Since(flipped))
					cl.Apply(live(instances...))
				}
				b.ReportMetric(100*(cpu(b)-before).Seconds()/time.Since(began).Seconds(), "%core")
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			slices.Sort(flips)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(m.Sys-m.HeapReleased)/(1<<20), "MB")
			b.ReportMetric(float64(flips[len(flips)/2].Microseconds())/1e3, "ms/flip-median")
			b.ReportMetric(float64(flips[len(flips)-1].Microseconds())/1e3, "ms/flip-worst")
			b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
