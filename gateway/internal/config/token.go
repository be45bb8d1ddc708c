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
func (a Admin) Token() (string, error) {
	if a.TokenFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	switch {
	case token == "":
		return "", errors.New("nothing in " + a.TokenFile)
	case len(token) > maxToken:
		return "", fmt.Errorf("%d bytes in %s", len(token), a.TokenFile)
	}
	return token, nil
}
