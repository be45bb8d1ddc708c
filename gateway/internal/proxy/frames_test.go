package proxy

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestSettingsThatComeAgainAreTheLast(t *testing.T) {
	const one, two, three = "\x00\x04\x00\x00\x00\x64", "\x00\x04\x00\x00\x00\x01", "\x00\x03\x00\x00\x00\x05"
	ping := frame(6, 0, 0, "12345678")
	for _, q := range []struct{ sent, want string }{
		{frame(4, 0, 0, one+three+two), frame(4, 0, 0, three+two)},
		{frame(4, 0, 0, one+one+one), frame(4, 0, 0, one)},
		{frame(4, 0, 0, one+three), frame(4, 0, 0, one+three)},
		{frame(4, 0, 0, ""), frame(4, 0, 0, "")},
		{frame(4, 0, 0, one+two+"x"), frame(4, 0, 0, one+two+"x")}, // of no whole number of settings: the engine says so
		{frame(4, 1, 0, one+two), frame(4, 1, 0, one+two)},         // so does it of an ACK with something in it
		{frame(4, 0, 3, one+two), frame(4, 0, 3, two)},
		{frame(0, 1, 1, one+two), frame(0, 1, 1, one+two)},
	} {
		all := preface2 + q.sent + ping + q.sent
		for name, r := range map[string]io.Reader{
			"at once": bytes.NewReader([]byte(all)), "byte by byte": iotest.OneByteReader(bytes.NewReader([]byte(all))),
		} {
			got, err := io.ReadAll(newFrames(r, new(floods)))
			if want := preface2 + q.want + ping + q.want; string(got) != want || err != nil {
				t.Errorf("%q %s: got %q, %v; want %q", q.sent, name, got, err, want)
			}
		}
	}
}

func TestFramesThatAreCutOffAreAnError(t *testing.T) {
	broken := errors.New("broken")
	for _, sent := range []string{preface2[:5], preface2 + "\x00\x00", preface2 + frame(4, 0, 0, "123456789012")[:15], preface2 + frame(0, 0, 1, "abc")[:10]} {
		if _, err := io.ReadAll(newFrames(io.MultiReader(bytes.NewReader([]byte(sent)), iotest.ErrReader(broken)), new(floods))); err != broken {
			t.Errorf("%q: got %v", sent, err)
		}
	}
}
