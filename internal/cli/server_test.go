package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
	"github.com/pando-pki/pando/internal/store/sqlstore"
	"github.com/rogpeppe/go-internal/testscript"
)

// startServer is the scripts' command "server": it starts one on free ports of
// the loopback address over an empty store, and points the environment at it as
// the first platform operator, whose token is in $OPERATOR.
//
// "server demo" also makes the tenant demo, with a test root (root.pem), the
// authority manufacturing, the profiles meter, device and tls-server and the
// endpoint meter, and goes on as the tenant's administrator, whose token is in
// $ADMIN.
//
// "server late" starts one whose store was committed to an hour later than now.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || len(args) == 1 && args[0] != "demo" && args[0] != "late" {
		ts.Fatalf("usage: server [demo|late]")
	}
	data := ts.MkAbs("server")
	ts.Check(os.MkdirAll(data, 0o700))
	_, err := soft.CreateKEK(filepath.Join(data, "kek.key"))
	ts.Check(err)
	if len(args) == 1 && args[0] == "late" {
		store, err := sqlstore.Open(context.Background(), filepath.Join(data, "pando.db"), sqlstore.Options{})
		ts.Check(err)
		later := time.Now().Add(time.Hour)
		ts.Check(store.AcceptClock(context.Background(), later, pki.Event{At: later, Actor: "test", Action: "clock.accept"}))
		ts.Check(store.Close())
	}
	free := "127.0.0.1:0"
	ctx, stop := context.WithCancel(context.Background())
	cfg := server.DefaultConfig()
	cfg.Data = data
	cfg.Listen = server.Listen{HTTPS: free, Devices: free, HTTP: free, Ops: free}
	cfg.Status.CheckEvery = server.Duration(time.Hour) // no alarm of it comes into a script that takes its time
	srv, err := server.New(ctx, cfg, "test", slog.New(slog.DiscardHandler))
	ts.Check(err)
	token, err := srv.FirstToken(ctx)
	ts.Check(err)
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	ts.Defer(func() {
		stop()
		ts.Check(<-ended)
	})

	ca := filepath.Join(data, "bootstrap.pem")
	for name, value := range map[string]string{
		"PANDO_SERVER": srv.URL("https"), "PANDO_TLS_CA": ca, "STATUS": srv.URL("http"), "DEVICES": srv.URL("devices"),
		"PLAIN":    "https" + strings.TrimPrefix(srv.URL("http"), "http"),
		"OPERATOR": token.Reveal(), tokenVariable: token.Reveal(),
	} {
		ts.Setenv(name, value)
	}
	if len(args) == 0 || args[0] != "demo" {
		return
	}
	d := demo{ts, func(token string) *client.Client {
		cl, err := client.New(client.Config{Server: srv.URL("https"), Token: client.TokenOf(token), CAFile: ca})
		ts.Check(err)
		return cl
	}}
	admin := d.make(ctx, token.Reveal(), srv.URL("http"))
	ts.Setenv("ADMIN", admin)
	ts.Setenv(tokenVariable, admin)
}

// demo makes a small PKI for scripts.
type demo struct {
	ts     *testscript.TestScript
	client func(token string) *client.Client
}

// make makes it and returns the token of the tenant's administrator.
func (d demo) make(ctx context.Context, operator, status string) string {
	cl := d.client(operator)
	_, err := cl.CreateTenant(ctx, client.NewTenant{ID: "demo", Organization: "Example Meters", Approvals: "none"})
	d.ts.Check(err)
	token, err := cl.CreateTenantToken(ctx, "demo", client.NewToken{Name: "administrator", Role: "tenant-administrator"})
	d.ts.Check(err)
	cl = d.client(token.Secret.Reveal())

	for _, name := range []string{"issuing-ca", "ocsp-responder", "meter", "device", "tls-server"} {
		source, err := packs.Document(name)
		d.ts.Check(err)
		_, err = cl.PublishProfile(ctx, source)
		d.ts.Check(err)
	}
	sealed, passphrase := d.ts.MkAbs("demo-root.sealed"), pki.NewSecret("correct horse battery staple")
	profile, err := packs.Document("root")
	d.ts.Check(err)
	der, err := ceremony.NewRoot(ctx, ceremony.RootConfig{
		Mode: pki.Test, CommonName: "Test Root", Organization: "Example Meters", Profile: profile,
		Passphrase: passphrase, Sealed: sealed, Now: time.Now, WorkFactor: 10,
	})
	d.ts.Check(err)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	d.ts.Check(os.WriteFile(d.ts.MkAbs("root.pem"), root, 0o600))
	_, err = cl.ImportRoot(ctx, client.NewRoot{Name: "root", Mode: "test", StatusURL: status, Certificate: string(root)})
	d.ts.Check(err)
	_, err = cl.CreateAuthority(ctx, client.NewAuthority{Name: "manufacturing", CommonName: "Test Manufacturing CA",
		Kind: "issuing", Parent: "root", StatusURL: status})
	d.ts.Check(err)
	file, err := cl.AuthorityRequest(ctx, "manufacturing")
	d.ts.Check(err)
	request, err := ceremony.ReadRequest(bytes.NewReader(file))
	d.ts.Check(err)
	response, err := ceremony.Sign(ctx, ceremony.SignConfig{Sealed: sealed, Passphrase: passphrase, Request: request, Now: time.Now})
	d.ts.Check(err)
	var answer bytes.Buffer
	d.ts.Check(ceremony.WriteResponse(&answer, response))
	_, err = cl.Install(ctx, answer.Bytes())
	d.ts.Check(err)
	_, err = cl.CreateEndpoint(ctx, client.NewEndpoint{Name: "meter", Authority: "manufacturing", Profile: "meter",
		Protocols: []string{"rest", "batch"}})
	d.ts.Check(err)
	return token.Secret.Reveal()
}

// editFile is the scripts' command "edit OLD NEW FROM TO": it writes the file TO as
// FROM, with NEW for each OLD, of which there must be one.
func editFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: edit OLD NEW FROM TO")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s has no %s", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o600))
}

// setFromOutput is the scripts' command "setenv PATTERN NAME...": it sets a
// variable to each group that the pattern finds in the standard output of the
// command before.
func setFromOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: setenv PATTERN NAME...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != len(args) {
		ts.Fatalf("%s: found %d of %d", args[0], max(len(found)-1, 0), len(args)-1)
	}
	for i, name := range args[1:] {
		ts.Setenv(name, found[i+1])
	}
}

// awaitFile is the scripts' command "await FILE [TEXT]": it waits until a file is
// there, with a text in it, that a command in the background makes.
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await FILE [TEXT]")
	}
	for range 2400 {
		content, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && (len(args) == 1 || strings.Contains(string(content), args[1])) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not come within 2 minutes", strings.Join(args, " with "))
}

// verifyChain is the scripts' command "verify FILE ROOT": the file's first
// certificate chains to the root, through the others of the file.
func verifyChain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: verify FILE ROOT")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(args[1])))
	text := []byte(ts.ReadFile(args[0]))
	between.AppendCertsFromPEM(text)
	block, _ := pem.Decode(text)
	if block == nil {
		ts.Fatalf("%s holds no certificate", args[0])
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	ts.Check(err)
	certificate.UnhandledCriticalExtensions = nil // a SAN with an otherName alone
	_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	ts.Check(err)
}

// keepPort is the scripts' command "keepport NAME": it sets NAME to a free address of the
// loopback that stays free while nobody listens at it, since the system gives no such
// port to whoever asks for any.
func keepPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keepport NAME")
	}
	const first, end = 20_000, 30_000 // below those that Linux gives
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(end-first)))
		if l, err := net.Listen("tcp", address); err == nil {
			ts.Check(l.Close())
			ts.Setenv(args[0], address)
			return
		}
	}
	ts.Fatalf("no free port")
}
