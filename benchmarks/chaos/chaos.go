// Package chaos measures what faults cost: a load at even distances, a gateway, endpoints that are processes, and something
// that goes wrong with one of them. The load knows of each request what became of it, the endpoints write down what they execute.
// docs/CHAOS.md says how to read what comes of it; the configurations of the gateways are under configs.
package chaos
