//go:build linux

// Package cost measures what a gateway costs: CPU time per proxied request, latency at a fixed rate, memory of idle
// clients. It compares gateways that benchmarks/peers starts, in short windows of one second that take turns, so that a
// change of the machine's mood meets all of them.
//
// The gateway has a CPU for itself; its clients and the endpoints, the cheapest that can be made, share another one. CPU
// time is what the kernel has counted for the threads of the gateway, in nanoseconds. On loopback that includes the whole
// receive path of whoever it writes to, which is most of the time of a good gateway and squeezes ratios towards 1.
package cost
