package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// globals are the flags of every command.
type globals struct {
	Help helpFlag `short:"h" help:"Show help for the command."`
	JSON bool     `name:"json" help:"Print results and errors as JSON, results in the shapes of the REST API."`

	Server     string `group:"server" xor:"target" placeholder:"URL" help:"Address of the REST API, as https://pki.example.com:8443 (default: $$PANDO_SERVER)."`
	TokenFile  string `group:"server" placeholder:"FILE" help:"File of mode 0600 with the API token (default: the token is taken from $$PANDO_TOKEN)."`
	TLSCA      string `group:"server" name:"tls-ca" placeholder:"FILE" help:"PEM file of the CA that the server's certificate must verify to (default: $$PANDO_TLS_CA, else the system's)."`
	Quickstart string `group:"server" xor:"target" placeholder:"DIR" help:"Take all three from the directory of a quickstart, in the place of the variables (default: $$PANDO_QUICKSTART, where no server is named; a token in $$PANDO_TOKEN counts before its own)."`

	// Token is there to refuse it: the arguments of a process can be read by
	// everyone on the machine.
	Token refusedToken `hidden:"" placeholder:"TOKEN" help:"Refused."`
}

// refusedToken is a token on the command line.
type refusedToken string

// AfterApply is called by kong when the flag is given. Its error does not repeat
// the token.
func (t refusedToken) AfterApply() error {
	return errors.New("a token on the command line can be read by everyone on the machine: revoke it, and give a new one in PANDO_TOKEN or with --token-file")
}

// The environment variables that stand for flags.
const (
	serverVariable     = "PANDO_SERVER"
	tokenVariable      = "PANDO_TOKEN" // the token itself
	tlsCAVariable      = "PANDO_TLS_CA"
	quickstartVariable = "PANDO_QUICKSTART" // counts where no server is named
)

// A target is where the REST API is, and as whom to call it.
type target struct {
	Server string       `json:"api"`
	Token  client.Token `json:"token"`
	TLSCA  string       `json:"tls_ca"` // path of a PEM file; "" is the system's roots
	Root   string       `json:"root"`   // path of the PEM file of the root; quickstart alone knows it
}

// connect returns the client of the server that the flags and the environment
// name. It tells of a token in the environment that does not count.
func (g *globals) connect(c *console) (*client.Client, error) {
	t, err := g.target()
	if err != nil {
		return nil, err
	}
	if own := os.Getenv(tokenVariable); g.Quickstart != "" && g.TokenFile == "" && own != "" && own != t.Token.Reveal() {
		c.note("%s does not count beside --quickstart, whose token is used; --token-file does, and so does %s beside %s", tokenVariable, tokenVariable, quickstartVariable)
	}
	return client.New(client.Config{Server: t.Server, Token: t.Token, CAFile: t.TLSCA, Waits: c.tellWaits()})
}

// tellWaits returns what tells once that a command waits for a server which said to ask
// later. A broken connection is tried again so soon that nobody wonders.
func (c *console) tellWaits() func(time.Duration, error) {
	var once sync.Once
	return func(wait time.Duration, why error) {
		p, ok := errors.AsType[*client.Problem](why)
		if !ok || wait < time.Second || c.json {
			return
		}
		once.Do(func() {
			c.note("the server answered %d: %s; it is asked again in %s, and some times more", p.Status, p, wait.Round(time.Second))
		})
	}
}

// target returns what the flags and the environment name: each flag before any
// variable, and a token in the environment before that of a quickstart which the
// environment names. The flag --quickstart stands for server, token and CA at once,
// so that no token of one deployment is shown to another because of a variable that
// was forgotten.
func (g *globals) target() (target, error) {
	own := client.TokenOf(os.Getenv(tokenVariable))
	t := target{Server: os.Getenv(serverVariable), Token: own, TLSCA: os.Getenv(tlsCAVariable)}
	if dir := g.quickstartDir(); dir != "" {
		var err error
		if g.Quickstart == "" {
			err = checkOwn(dir, os.Geteuid())
		}
		if err == nil {
			t, err = readQuickstart(dir)
		}
		if err != nil {
			return t, err
		}
		if g.Quickstart == "" && !own.IsZero() {
			t.Token = own
		}
	}
	if g.Server != "" {
		t.Server = g.Server
	}
	if g.TLSCA != "" {
		t.TLSCA = g.TLSCA
	}
	if g.TokenFile != "" {
		secret, err := readSecretFile(g.TokenFile)
		if err != nil {
			return t, err
		}
		t.Token = client.TokenOf(secret.Reveal())
	}
	if t.Server == "" {
		return t, usagef("which server? Name it with --server or PANDO_SERVER, or with --quickstart the directory of a quickstart")
	}
	if t.Token.IsZero() {
		return t, usagef("as whom? Give an API token in PANDO_TOKEN or with --token-file")
	}
	return t, nil
}

// explain adds to an error what only the flags and the environment tell: which CA
// the server's certificate was verified to, and whose token was refused.
func (g *globals) explain(err error) error {
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Kind == pki.Unauthenticated.String() &&
		g.Quickstart == "" && g.TokenFile == "" && g.quickstartDir() != "" && os.Getenv(tokenVariable) != "" {
		return hintf(err, "the token is that of %s, which counts before the one of the quickstart that %s names: unset it to use that", tokenVariable, quickstartVariable)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return err
	}
	t, targetErr := g.target()
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		return hintf(err, "the server's certificate is not for %s: name the server in --server as its certificate does", wrong.Host)
	}
	if targetErr != nil || t.TLSCA == "" {
		return hintf(err, "name the CA of the server's certificate with --tls-ca or PANDO_TLS_CA")
	}
	return hintf(err, "the server's certificate does not verify to the CA in %s, which --tls-ca, PANDO_TLS_CA or the quickstart names: take the CA of this server", t.TLSCA)
}

// quickstartDir returns the directory of the quickstart to talk to, or "".
func (g *globals) quickstartDir() string {
	if g.Quickstart == "" && g.Server == "" && os.Getenv(serverVariable) == "" {
		return os.Getenv(quickstartVariable)
	}
	return g.Quickstart
}

// maxQuickstart is the size of the largest quickstart.json, in bytes.
const maxQuickstart = 1 << 20

// readQuickstart reads where a quickstart serves. Paths in it are absolute, or
// from its directory.
func readQuickstart(dir string) (target, error) {
	var t target
	f, err := os.Open(filepath.Join(dir, "quickstart.json"))
	if err != nil {
		if there, readErr := os.ReadDir(dir); readErr == nil && len(there) > 0 {
			return t, hintf(err, "name the directory of a quickstart that came to its end; %s has other files", dir)
		}
		return t, hintf(err, "'pando quickstart --data %s' makes one", dir)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxQuickstart))
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("%s: not what 'pando quickstart' writes: %w", f.Name(), err)
	}
	for _, path := range []*string{&t.TLSCA, &t.Root} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	return t, nil
}
