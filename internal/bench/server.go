package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/quickstart"
)

// serverLog is the file of what the server says.
const serverLog = "server.log"

// playStory starts a server with the hierarchy of the reference story in dir, or
// takes up what is there.
func (b *bench) playStory(ctx context.Context, dir string, args ...string) (*process, error) {
	const free = "127.0.0.1:0"
	all := []string{"quickstart", "--json", "--batch", "2", "--data", dir, "--https", free, "--devices", free, "--ops", free}
	if _, err := quickstart.Read(dir); err != nil { // else it keeps the one that its certificates name
		all = append(all, "--http", free)
	}
	return begin(ctx, b.cfg.Program, filepath.Join(b.dir, serverLog), append(all, args...)...)
}

// startServer starts the server that most rows measure, where it does not run yet:
// what is measured is what a user has after 'pando quickstart'.
func (b *bench) startServer(ctx context.Context) error {
	if b.server != nil {
		return nil
	}
	return b.serve(ctx, filepath.Join(b.dir, "deployment"))
}

// serve starts the server of a directory in place of the one that runs.
func (b *bench) serve(ctx context.Context, dir string) error {
	if err := b.stopServer(); err != nil {
		return err
	}
	p, err := b.playStory(ctx, dir)
	if err != nil {
		return err
	}
	b.server, b.file = p, quickstart.File{}
	if err := p.decode(&b.file); err != nil {
		return fmt.Errorf("starting a server: %w\n%s", err, lastWords(b.dir, serverLog))
	}
	b.api, err = client.New(client.Config{Server: b.file.API, Token: b.file.Token, CAFile: b.file.TLSCA})
	return err
}

func (b *bench) stopServer() error {
	if b.server == nil {
		return nil
	}
	p := b.server
	b.server = nil
	return p.end()
}

// people connects to the listener for people, with TLS.
func (b *bench) people() (dial func(context.Context) (net.Conn, error), host string, err error) {
	return b.listener(b.file.API)
}

// listener connects to one of the listeners that speak TLS.
func (b *bench) listener(base string) (dial func(context.Context) (net.Conn, error), host string, err error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, "", err
	}
	text, err := os.ReadFile(b.file.TLSCA)
	if err != nil {
		return nil, "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, "", errors.New("the root is not in PEM")
	}
	return secure(u.Host, &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}), u.Host, nil
}

// post returns a request of the REST API with a JSON body.
func (b *bench) post(host, path string, header map[string]string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	all := map[string]string{"Authorization": "Bearer " + b.file.Token.Reveal(), "Content-Type": "application/json"}
	for name, value := range header {
		all[name] = value
	}
	return message("POST", host, "/api/v1"+path, all, text), nil
}
