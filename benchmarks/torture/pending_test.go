package torture

// pending are the cases that Weir does not hold yet, by name, with what is missing. One that holds must go: the list can
// only shrink.
var pending = func() map[string]string {
	all := map[string]string{}
	add := func(why string, names ...string) {
		for _, n := range names {
			all[n] = why
		}
	}
	add("chunk extensions have no limit",
		"chunks/extension of a mebibyte")
	add("the reader of chunks takes the last size line for the end",
		"truncations/upload ends behind the last size line")
	add("the client is told to go on before the endpoint is asked",
		"expect/a refused body is not the next request",
		"expect/the endpoint is asked before the client is told",
		"expect/the endpoint refuses before the body")
	add("an exchange begins when eight kibibytes of the body are there, or all of it",
		"early/an answer while the client still waits",
		"streams/a head before any byte of the upload",
		"streams/an upload with a length, piece by piece")
	add("interim responses are not relayed",
		"interims/102 is relayed",
		"interims/103 is relayed",
		"interims/103 is relayed before the response is there",
		"interims/before a 304",
		"interims/before a HEAD's answer",
		"interims/two are relayed")
	add("trailers of responses are not relayed",
		"response framing/trailers")
	add("the parser of response heads is kinder than that of requests",
		"hops/nominated fields of all lines of a response",
		"response framing/coding of HTTP 1.0",
		"responses/blank in a name")
	add("Max-Forwards is not looked at",
		"hops/Max-Forwards 0 of an OPTIONS ends here",
		"hops/Max-Forwards of an OPTIONS is counted down")
	add("the status is 431, as for a long field",
		"limits/a request line of a mebibyte")
	add("the scheme of an absolute target is not looked at",
		"targets/https on a plain connection")
	add("WebSocket is not served",
		"upgrades/WebSocket",
		"upgrades/WebSocket in other letters, in a list",
		"upgrades/a mebibyte through the tunnel",
		"upgrades/frames behind the 101 at once",
		"upgrades/frames behind the request at once",
		"upgrades/the client ends the tunnel",
		"upgrades/the endpoint does not switch",
		"upgrades/the endpoint ends the tunnel",
		"upgrades/the endpoint says 426")
	return all
}()
