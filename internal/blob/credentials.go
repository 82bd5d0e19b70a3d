package blob

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/pando-pki/pando/internal/pki"
)

// maxCredentials bounds a file of credentials, in bytes.
const maxCredentials = 64 << 10

// The names under which environment and file have a bucket's credentials. The
// session token is for temporary ones.
const (
	accessKeyID     = "AWS_ACCESS_KEY_ID"
	secretAccessKey = "AWS_SECRET_ACCESS_KEY"
	sessionToken    = "AWS_SESSION_TOKEN"
)

// source gives the credentials to the S3 client. They are looked up for each
// request, so that a file that somebody replaces counts at once.
type source struct{ from string }

func checkSource(from string) error {
	if path, ok := strings.CutPrefix(from, "file:"); from == "env" || ok && path != "" {
		return nil
	}
	return pki.Errorf(pki.Malformed, "credentials %.80q: they come from env, or from file:PATH", from)
}

// IsExpired has the client ask each time.
func (source) IsExpired() bool { return true }

// Retrieve returns the credentials.
func (s source) Retrieve() (credentials.Value, error) { return s.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext returns the credentials.
func (s source) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	keys, err := s.read()
	if err != nil {
		return credentials.Value{}, err
	}
	return credentials.Value{
		AccessKeyID: keys[accessKeyID].Reveal(), SecretAccessKey: keys[secretAccessKey].Reveal(),
		SessionToken: keys[sessionToken].Reveal(), SignerType: credentials.SignatureV4,
	}, nil
}

func (s source) read() (keys map[string]pki.Secret, err error) {
	if path, ok := strings.CutPrefix(s.from, "file:"); ok {
		keys, err = readCredentials(path)
	} else {
		keys = make(map[string]pki.Secret)
		for _, name := range []string{accessKeyID, secretAccessKey, sessionToken} {
			keys[name] = pki.NewSecret(os.Getenv(name))
		}
	}
	if err == nil && (keys[accessKeyID].IsZero() || keys[secretAccessKey].IsZero()) {
		err = pki.Errorf(pki.Unauthenticated, "credentials %s: set %s and %s", s.from, accessKeyID, secretAccessKey)
	}
	return keys, err
}

// readCredentials reads a file that only its owner can read.
func readCredentials(path string) (map[string]pki.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, pki.Errorf(pki.Forbidden, "%s: others can read these credentials; chmod 600 it", path)
	}
	keys, err := parseCredentials(f)
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "%s: write lines NAME=VALUE with %s, %s and, for temporary ones, %s", path, accessKeyID, secretAccessKey, sessionToken)
	}
	return keys, nil
}

// parseCredentials reads lines of the form NAME=VALUE; empty ones and those that
// begin with "#" are left out. Nothing of a line is repeated in an error.
func parseCredentials(r io.Reader) (map[string]pki.Secret, error) {
	keys := make(map[string]pki.Secret)
	limited := &io.LimitedReader{R: r, N: maxCredentials + 1}
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		_, twice := keys[name]
		if known := name == accessKeyID || name == secretAccessKey || name == sessionToken; !ok || !known || twice || value == "" {
			return nil, errors.New("a line is not one of these, or stands twice")
		}
		keys[name] = pki.NewSecret(value)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if limited.N == 0 {
		return nil, errors.New("the file is too long")
	}
	return keys, nil
}
