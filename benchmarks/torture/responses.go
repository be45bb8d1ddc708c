package torture

import "strings"

// responses: statuses, methods and fields of responses.
func responses() []Case {
	get := request("GET /a")
	return []Case{
		{Name: "responses/HEAD keeps its length and has no body", Section: "9110 9.3.2", Send: request("HEAD /a"), Endpoint: answer(response("200 OK", "", "Content-Length: 5")), Hold: all(statuses(200), relayed("Content-Length", "5"), stays)},
		{Name: "responses/HEAD with chunked has no body", Section: "9112 6.1", Send: request("HEAD /a"), Endpoint: answer(response("200 OK", "", "Transfer-Encoding: chunked")), Hold: all(statuses(200), single, either(stays, closes))},
		{Name: "responses/HEAD with a body behind it", Section: "9112 6.3", Send: request("HEAD /a"), Endpoint: answer(response("200 OK", "hello", "Content-Length: 5")), Hold: all(first(200, 502), single)},
		{Name: "responses/HEAD with another response behind it", Section: "9112 6.3", Send: request("HEAD /a"), Endpoint: answer(response("200 OK", sized("200 OK", "poison"), "Content-Length: 5")), Hold: all(first(200, 502), single)},
		{Name: "responses/304 keeps its length and has no body", Section: "9110 15.4.5", Send: get, Endpoint: answer(response("304 Not Modified", "", "Content-Length: 5", `ETag: "e"`)), Hold: all(statuses(304), relayed("ETag", `"e"`), stays)},
		{Name: "responses/304 with a body", Section: "9112 6.3", Send: get, Endpoint: answer(response("304 Not Modified", "hello", "Content-Length: 5")), Hold: all(first(304, 502), single)},
		{Name: "responses/304 with a response as its body", Section: "9112 6.3", Send: get, Endpoint: answer(response("304 Not Modified", sized("200 OK", "poison"), "Transfer-Encoding: chunked")), Hold: all(first(304, 502), single)},
		{Name: "responses/204 without a body", Section: "9110 15.3.5", Send: get, Endpoint: answer(response("204 No Content", "")), Hold: all(statuses(204), relayed("Content-Length", ""), stays)},
		{Name: "responses/204 with a length and a body", Section: "9110 8.6", Send: get, Endpoint: answer(sized("204 No Content", "hello")), Hold: all(first(204, 502), single)},
		{Name: "responses/204 with a coding", Section: "9112 6.1", Send: get, Endpoint: answer(response("204 No Content", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked")), Hold: all(first(204, 502), single, verdict("Transfer-Encoding with 204", func(r *Result) bool { return len(r.Responses[0].TransferEncoding) == 0 }))},
		{Name: "responses/204 with a response behind it", Section: "9112 6.3", Send: get, Endpoint: answer(response("204 No Content", sized("200 OK", "poison"))), Hold: all(first(204, 502), single)},
		{Name: "responses/205 is empty", Section: "9110 15.3.6", Send: get, Endpoint: answer(sized("205 Reset Content", "")), Hold: all(statuses(205), gets(0, ""), stays)},
		{Name: "responses/206 is what it is", Section: "9110 15.3.7", Send: request("GET /a", "Range: bytes=0-1"), Endpoint: answer(sized("206 Partial Content", "ok", "Content-Range: bytes 0-1/9")), Hold: all(statuses(206), gets(0, "ok"), relayed("Content-Range", "bytes 0-1/9"))},
		{Name: "responses/status that nobody knows", Section: "9110 15", Send: get, Endpoint: answer(sized("299 Odd", "ok")), Hold: all(statuses(299), gets(0, "ok"))},
		{Name: "responses/status over 599", Section: "9110 15", Send: get, Endpoint: answer(sized("777 Odd", "ok")), Hold: either(first(502), all(statuses(777), gets(0, "ok")))},
		{Name: "responses/status of two digits", Section: "9112 4", Send: get, Endpoint: last(sized("99 Odd", "ok")), Hold: first(502)},
		{Name: "responses/status of four digits", Section: "9112 4", Send: get, Endpoint: last(sized("2000 Odd", "ok")), Hold: first(502)},
		{Name: "responses/status that is no number", Section: "9112 4", Send: get, Endpoint: last(sized("OK OK", "ok")), Hold: first(502)},
		{Name: "responses/status with a sign", Section: "9112 4", Send: get, Endpoint: last(sized("+20 OK", "ok")), Hold: first(502)},
		{Name: "responses/no reason phrase", Section: "9112 4", Send: get, Endpoint: answer("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"), Hold: all(statuses(200), gets(0, "ok"))},
		{Name: "responses/no reason phrase and no blank before it", Section: "9112 4", Send: get, Endpoint: answer("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), Hold: either(first(502), all(statuses(200), gets(0, "ok")))},
		{Name: "responses/several Set-Cookie lines stay apart", Section: "9110 5.3", Send: get, Endpoint: answer(sized("200 OK", "ok", "Set-Cookie: a=1", "Set-Cookie: b=2; Path=/")), Hold: all(statuses(200), verdict("Set-Cookie lines were joined or lost", func(r *Result) bool {
			return strings.Join(r.Responses[0].Header.Values("Set-Cookie"), "|") == "a=1|b=2; Path=/"
		}))},
		{Name: "responses/fields pass", Section: "9110 5.1", Send: get, Endpoint: answer(sized("200 OK", "ok", "X-Unknown: v", "ETag: \"e\"", "Content-Encoding: x", "Content-Type: text/odd")), Hold: all(statuses(200), relayed("X-Unknown", "v"), relayed("ETag", `"e"`), relayed("Content-Encoding", "x"), relayed("Content-Type", "text/odd"))},
		{Name: "responses/no type is made up", Section: "9110 8.3", Send: get, Endpoint: answer(sized("200 OK", "ok")), Hold: all(statuses(200), relayed("Content-Type", ""))},
		{Name: "responses/blank before a colon", Section: "9112 5.1", Send: get, Endpoint: answer(sized("200 OK", "ok", "X-A : v")), Hold: either(first(502), all(statuses(200), noWire("X-A :")))},
		{Name: "responses/blank before the colon of the length", Section: "9112 5.1", Send: get, Endpoint: last("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"), Hold: either(first(502), all(statuses(200), gets(0, "ok")))},
		{Name: "responses/NUL in a value", Section: "9110 5.5", Send: get, Endpoint: last(sized("200 OK", "ok", "X-A: a\x00b")), Hold: either(first(502), all(statuses(200), noWire("\x00")))},
		{Name: "responses/bare CR in a value", Section: "9112 2.2", Send: get, Endpoint: last(sized("200 OK", "ok", "X-A: a\rX-B: b")), Hold: either(first(502), all(statuses(200), relayed("X-B", ""), noWire("a\rX")))},
		{Name: "responses/bare LF ends a line", Section: "9112 2.2", Send: get, Endpoint: last("HTTP/1.1 200 OK\r\nX-A: a\nContent-Length: 2\r\n\r\nok"), Hold: either(first(502), all(statuses(200), gets(0, "ok"), noWire("X-A: a\nC")))},
		{Name: "responses/folded value", Section: "9112 5.2", Send: get, Endpoint: last(sized("200 OK", "ok", "X-A: a\r\n b")), Hold: either(first(502), all(statuses(200), noWire("\r\n b")))},
		{Name: "responses/line without a colon", Section: "9112 5", Send: get, Endpoint: last(sized("200 OK", "ok", "garbage")), Hold: either(first(502), all(statuses(200), noWire("garbage\r\n")))},
		{Name: "responses/blank in a name", Section: "9110 5.1", Send: get, Endpoint: last(sized("200 OK", "ok", "X A: v")), Hold: either(first(502), all(statuses(200), noWire("X A:")))},
		{Name: "responses/head that never ends", Section: "9112 2.3", Send: get, Endpoint: last("HTTP/1.1 200 OK\r\nContent-Le"), Hold: first(502)},
		{Name: "responses/nothing at all", Section: "9110 15.6.3", Send: request("POST /a", "Content-Length: 3") + "abc", Endpoint: func(x *Exchange) { x.Body(); x.Close() }, Hold: all(first(502), saw("POST /a abc"))},
		{Name: "responses/nothing but a reset", Section: "9110 15.6.3", Send: request("POST /a", "Content-Length: 3") + "abc", Endpoint: func(x *Exchange) { x.Body(); x.Reset() }, Hold: all(first(502), saw("POST /a abc"))},
		{Name: "responses/nothing in time", Section: "9110 15.6.5", Send: request("POST /a", "Content-Length: 3") + "abc", Endpoint: func(x *Exchange) { x.Body(); x.Gone() }, Hold: all(first(504), saw("POST /a abc"))},
		{Name: "responses/head of a mebibyte", Section: "9110 5.4", Send: get, Endpoint: last(sized("200 OK", "ok", "X-A: "+strings.Repeat("v", 1<<20))), Hold: first(502)},
		{Name: "responses/head of twelve kibibytes", Section: "9110 5.4", Send: get, Endpoint: answer(sized("200 OK", "ok", "Set-Cookie: a="+strings.Repeat("v", 3000), "Set-Cookie: b="+strings.Repeat("v", 3000), "X-A: "+strings.Repeat("v", 6000))), Hold: either(first(502), all(statuses(200), gets(0, "ok")))},
	}
}

// noWire wants that the client did not get these bytes.
func noWire(part string) Check {
	return verdict("the client got bytes that parsers read in different ways: "+quote(part), func(r *Result) bool {
		return !strings.Contains(r.wire.String(), part)
	})
}
