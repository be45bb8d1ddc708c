package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxToken bounds a token, in bytes.
const maxToken = 4096

// Token reads the token of the admin API, without the white space around it. It is "" if no file is configured.
func (a Admin) Token() (string, error) { return secret(a.TokenFile, 1) }

// ExplainToken reads what a request must say to be explained, in the same way.
func (a Admin) ExplainToken() (string, error) { return secret(a.ExplainTokenFile, 1) }

// minSecret is the least length of what cookies are authenticated with, in bytes.
const minSecret = 16

// Secret reads what cookies are authenticated with, in the same way.
func (a Affinity) Secret() (string, error) { return secret(a.SecretFile, minSecret) }

// secret reads a file of at least so many bytes, without the white space around them.
func secret(file string, least int) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		return "", errors.New("nothing in " + file)
	case len(text) < least || len(text) > maxToken:
		return "", fmt.Errorf("%d bytes in %s", len(text), file)
	}
	return text, nil
}
