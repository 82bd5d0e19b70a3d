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
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pando-pki/pando/client"
)

// serverLog is the file of what the server says.
const serverLog = "server.log"

// startServer starts a server with the hierarchy of the reference story, where
// none runs yet: what is measured is what a user has after 'pando quickstart'.
func (b *bench) startServer(ctx context.Context) error {
	if b.server != nil {
		return nil
	}
	const free = "127.0.0.1:0"
	p, err := begin(ctx, b.cfg.Program, filepath.Join(b.dir, serverLog), "quickstart", "--json", "--batch", "2",
		"--data", filepath.Join(b.dir, "deployment"), "--https", free, "--devices", free, "--http", free, "--ops", free)
	if err != nil {
		return err
	}
	b.server = p
	if err := json.UnmarshalDecode(jsontext.NewDecoder(p.stdout), &b.file); err != nil {
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
	u, err := url.Parse(b.file.API)
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
