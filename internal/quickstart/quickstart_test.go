package quickstart

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
)

const (
	meters = 3
	free   = "127.0.0.1:0"
)

// A played is one run of the quickstart in a test.
type played struct {
	Config
	steps []string
	ready []bool // fresh, of each call of Ready
	file  *File  // of the last
}

// newPlay returns a run over dir on free ports that looks at what is served with
// look, which may be nil, and then ends.
func newPlay(dir string, look func(*File) error) *played {
	p := new(played)
	p.Config = Config{
		Dir: dir, Listen: server.Listen{HTTPS: free, Devices: free, HTTP: free, Ops: free}, Batch: meters,
		Version: "test", Log: slog.New(slog.DiscardHandler), Exit: true,
		Step:    func(format string, args ...any) { p.steps = append(p.steps, fmt.Sprintf(format, args...)) },
		Working: func(string, int64, int64, float64) {},
		Ready: func(f *File, fresh bool) error {
			p.ready, p.file = append(p.ready, fresh), f
			if look == nil {
				return nil
			}
			return look(f)
		},
	}
	return p
}

// TestRun plays the story with three meters, serves the directory again, and sees
// that it is not served elsewhere.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "story")
	first, logged := newPlay(dir, func(f *File) error { testServed(t, f); return nil }), new(bytes.Buffer)
	first.Log = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := Run(t.Context(), first.Config); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{true}, first.ready); diff != "" {
		t.Errorf("Ready was called (-want +got):\n%s", diff)
	}
	testFile(t, dir, first.file)
	testSamples(t, first.file)
	testSecrets(t, dir, first, logged.String())

	again := newPlay(dir, func(f *File) error { testServed(t, f); return nil })
	again.Listen.HTTP = strings.TrimPrefix(first.file.HTTP, "http://") // what certificates name is for life
	if err := Run(t.Context(), again.Config); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{false}, again.ready); diff != "" || len(again.steps) > 0 {
		t.Errorf("the second run: Ready was called (-want +got):\n%s and it told %q", diff, again.steps)
	}
	testFile(t, dir, again.file)
	want := *first.file
	want.API, want.Devices, want.Ops = again.file.API, again.file.Devices, again.file.Ops // on other free ports
	want.EST.Base = want.Devices
	if diff := cmp.Diff(&want, again.file); diff != "" {
		t.Errorf("the second run has another file (-want +got):\n%s", diff)
	}

	// That is found before anything is served.
	elsewhere := newPlay(dir, nil)
	logged.Reset()
	elsewhere.Log = slog.New(slog.NewTextHandler(logged, nil))
	err := Run(t.Context(), elsewhere.Config)
	if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), "--http "+again.Listen.HTTP) || len(elsewhere.ready) > 0 {
		t.Errorf("with another status address: %v", err)
	}
	if file, err := Read(dir); err != nil || !cmp.Equal(file, again.file) {
		t.Errorf("that changed the file, %v", err)
	}
	if strings.Contains(logged.String(), "canceled") || strings.Contains(logged.String(), "ERROR") {
		t.Errorf("it began to serve:\n%s", logged)
	}
	testConfiguration(t, dir, again.file)
}

// testConfiguration changes the server's file: the next run heeds it.
func testConfiguration(t *testing.T, dir string, had *File) {
	t.Helper()
	path, published := filepath.Join(dir, ServerDir, server.ConfigName), t.TempDir()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	changed := strings.Replace(string(text), "\nstatus:\n", fmt.Sprintf("\nstatus:\n  publish:\n  - name: web\n    directory: %q\n", published), 1)
	if changed == string(text) {
		t.Fatalf("no status in\n%s", text)
	}
	write(changed)
	_, crl, _ := strings.Cut(had.Authorities["manufacturing"].CRLs[0], "/crl/")
	p := newPlay(dir, func(*File) error {
		for t.Context().Err() == nil {
			if _, err := os.Stat(filepath.Join(published, "crl", crl)); err == nil {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
		return t.Context().Err()
	})
	p.Listen = server.Listen{} // those of the run before
	if err := Run(t.Context(), p.Config); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(had, p.file); diff != "" {
		t.Errorf("the run without addresses has another file (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		changed + "data: elsewhere\n": "names a data directory",
		changed + "colour: blue\n":    "colour",
	} {
		write(text)
		if err := Run(t.Context(), p.Config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// testFile holds the file on the disk against what Ready was told: mode 0600,
// nothing empty, and every path there and absolute.
func testFile(t *testing.T, dir string, told *File) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %o", FileName, info.Mode().Perm())
	}
	f, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(told, f); diff != "" {
		t.Errorf("%s (-told +read):\n%s", FileName, diff)
	}
	names := slices.Sorted(maps.Keys(f.Authorities))
	if diff := cmp.Diff([]string{"code-verification", "firmware", "manufacturing", "operations"}, names); diff != "" {
		t.Errorf("authorities (-want +got):\n%s", diff)
	}
	paths := []string{f.TLSCA, f.Root, f.Samples.Good, f.Samples.Key, f.Samples.Revoked, f.Batch.Results}
	for name, a := range f.Authorities {
		paths = append(paths, a.Chain)
		shards := 1
		if name == "manufacturing" {
			shards = 4
		}
		if a.ID == "" || !strings.HasPrefix(a.OCSP, f.HTTP+"/ocsp/") || len(a.CRLs) != shards {
			t.Errorf("authority %s: %+v", name, a)
		}
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil || !filepath.IsAbs(path) {
			t.Errorf("path %q: %v", path, err)
		}
	}
	if f.Tenant != "demo" || f.Batch.ID == "" || !strings.HasSuffix(f.API, "/api/v1") || !strings.HasPrefix(f.Token.Reveal(), "pando_") {
		t.Errorf("tenant %q, batch %q, API %q", f.Tenant, f.Batch.ID, f.API)
	}
}

// testServed asks the listeners while they serve.
func testServed(t *testing.T, f *File) {
	t.Helper()
	api, err := client.New(client.Config{Server: f.API, Token: f.Token, CAFile: f.TLSCA})
	if err != nil {
		t.Fatal(err)
	}
	b, err := api.Batch(t.Context(), f.Batch.ID)
	if err != nil {
		t.Fatal(err)
	}
	if b.Issued != meters || b.State != "done" {
		t.Errorf("the batch is %s with %d issued", b.State, b.Issued)
	}
	for name, indexes := range map[string]int{"manufacturing": 0, "firmware": 3, "code-verification": 3, "operations": 3} {
		if a, err := api.Authority(t.Context(), name); err != nil || len(a.Indexes) != indexes {
			t.Errorf("the authority %s keeps other than %d indexes: %+v, %v", name, indexes, a, err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificates(t, f.Root)[0])
	for _, listener := range []string{f.API, f.Devices} {
		host, _, _ := strings.Cut(strings.TrimPrefix(listener, "https://"), "/")
		conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: roots})
		if err != nil {
			t.Errorf("%s does not verify to the root: %v", listener, err)
			continue
		}
		conn.Close()
	}
	if caps := string(get(t, f.SCEP.URL+"?operation=GetCACaps")); !strings.Contains(caps, "SCEPStandard") {
		t.Errorf("SCEP is not served: %q", caps)
	}
	testSCEP(t, f)
	testEST(t, f, roots)
	// A look at status amid a slow story finds what is not there yet, and the next one that
	// it is.
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		said := string(get(t, f.Ops+"/readyz"))
		if said == "ready\n" {
			break
		}
		if time.Since(begun) > 5*time.Minute {
			t.Fatalf("the server is not ready, but %s", said)
		}
	}
	revoked, good := certificates(t, f.Samples.Revoked)[0], certificates(t, f.Samples.Good)[0]
	found := false
	for name, a := range f.Authorities {
		issuer := certificates(t, a.Chain)[0]
		for _, url := range a.CRLs {
			list, err := x509.ParseRevocationList(get(t, url))
			if err != nil {
				t.Fatal(err)
			}
			if err := list.CheckSignatureFrom(issuer); err != nil {
				t.Errorf("CRL %s of %s: %v", url, name, err)
			}
			for _, e := range list.RevokedCertificateEntries {
				found = found || name == "manufacturing" && e.SerialNumber.Cmp(revoked.SerialNumber) == 0 &&
					slices.Contains(revoked.CRLDistributionPoints, url) && e.ReasonCode == int(pki.KeyCompromise)
				if e.SerialNumber.Cmp(good.SerialNumber) == 0 {
					t.Error("the good sample is revoked")
				}
			}
		}
	}
	if !found {
		t.Error("the stolen meter's certificate is not in the CRL that it names")
	}
}

// testSamples verifies what the plant got, with crypto/x509.
func testSamples(t *testing.T, f *File) {
	t.Helper()
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(certificates(t, f.Root)[0])
	for _, cert := range certificates(t, f.Authorities["manufacturing"].Chain) {
		between.AddCert(cert)
	}
	results := certificates(t, f.Batch.Results)
	good := certificates(t, f.Samples.Good)[0]
	devices := make(map[string]bool)
	for _, cert := range append(results, good, certificates(t, f.Samples.Revoked)[0]) {
		if cert.IsCA {
			continue // chains come with results
		}
		devices[cert.Subject.SerialNumber] = true
		cert.UnhandledCriticalExtensions = nil // a SAN with an otherName alone
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("meter %s: %v", cert.Subject.SerialNumber, err)
		}
	}
	if len(devices) != meters {
		t.Errorf("the results have the meters %v", slices.Sorted(maps.Keys(devices)))
	}
	text, err := os.ReadFile(f.Samples.Key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no key", f.Samples.Key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if own, ok := key.(*ecdsa.PrivateKey); !ok || !own.PublicKey.Equal(good.PublicKey) {
		t.Error("the sample's key is not that of its certificate")
	}
}

// testSecrets sees that what is secret lies in files of mode 0600 alone, and is
// neither told nor logged, though devices enrolled by them. Tokens, passwords and
// challenges are not in the store either.
func testSecrets(t *testing.T, dir string, p *played, logged string) {
	t.Helper()
	told := strings.Join(p.steps, "\n")
	passphrase, err := os.ReadFile(filepath.Join(dir, ceremonyDir, "root.passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	operator, err := os.ReadFile(filepath.Join(dir, ServerDir, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged, "/simpleenroll") {
		t.Errorf("the log has no enrolment by EST:\n%.2000s", logged)
	}
	secrets := []string{p.file.Token.Reveal(), p.file.SCEP.Challenge.Reveal(), p.file.EST.Password.Reveal(), strings.TrimSpace(string(passphrase)), strings.TrimSpace(string(operator))}
	for _, secret := range secrets {
		if secret == "" || strings.Contains(told, secret) {
			t.Errorf("a secret is empty, or told in\n%s", told)
		}
		basic := base64.StdEncoding.EncodeToString([]byte(p.file.EST.User + ":" + secret))
		if strings.Contains(logged, secret) || strings.Contains(logged, basic) {
			t.Error("a secret is logged")
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range secrets[:3] {
			if strings.HasPrefix(d.Name(), "pando.db") && bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds a secret", path)
			}
		}
		holds := bytes.Contains(text, []byte("PRIVATE KEY")) || strings.HasSuffix(path, "kek.key") || strings.HasSuffix(path, ".sealed")
		for _, secret := range secrets {
			holds = holds || bytes.Contains(text, []byte(secret))
		}
		if holds && info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds a secret and has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	acknowledged, err := os.Open(filepath.Join(dir, plantDir, "acknowledged.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer acknowledged.Close()
	lines := 0
	for scanner := bufio.NewScanner(acknowledged); scanner.Scan(); {
		lines++
	}
	if lines != meters {
		t.Errorf("the plant acknowledged %d certificates", lines)
	}
}

// TestRefusedDirectory: what is there is not touched.
func TestRefusedDirectory(t *testing.T) {
	for name, put := range map[string]func(dir string) error{
		"of somebody else":             func(dir string) error { return os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600) },
		"of a run that came to no end": func(dir string) error { return os.Mkdir(filepath.Join(dir, ServerDir), 0o700) },
	} {
		dir := t.TempDir()
		if err := put(dir); err != nil {
			t.Fatal(err)
		}
		p := newPlay(dir, nil)
		err := Run(t.Context(), p.Config)
		if pki.KindOf(err) != pki.Conflict || !strings.Contains(pki.DetailOf(err), "--data") || len(p.ready) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: %d entries afterwards, %v", name, len(entries), err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), newPlay(file, nil).Config); err == nil {
		t.Error("a file for a directory")
	}
	dir := t.TempDir()
	for _, text := range []string{"", "{", "{}", "null", `{"authorities":{}}`, `{"http":"x"}`, `{"tenant":"demo","token":"x","tls_ca":"/r","root":"/r","http":"http://"}`} {
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), newPlay(dir, nil).Config); pki.KindOf(err) != pki.Malformed || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("a quickstart.json that is %q: %v", text, err)
		}
	}
	for _, batch := range []int{MinBatch - 1, MaxBatch + 1} {
		p := newPlay(filepath.Join(t.TempDir(), "new"), nil)
		p.Batch = batch
		if err := Run(t.Context(), p.Config); pki.KindOf(err) != pki.Malformed {
			t.Errorf("a batch of %d: %v", batch, err)
		}
		if _, err := os.Stat(p.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a batch of %d leaves its directory: %v", batch, err)
		}
	}
}

// TestMoved: the paths of a directory that was moved are its new ones.
func TestMoved(t *testing.T) {
	f := &File{TLSCA: "/a/b/root.pem", Root: "/a/b/root.pem", Samples: Samples{Good: "/a/b/plant/good.pem", Key: "/elsewhere/good.key"},
		Authorities: map[string]Authority{"operations": {Chain: "/a/b/operations.pem"}}}
	f.move("/c")
	want := &File{TLSCA: "/c/root.pem", Root: "/c/root.pem", Samples: Samples{Good: "/c/plant/good.pem", Key: "/elsewhere/good.key"},
		Authorities: map[string]Authority{"operations": {Chain: "/c/operations.pem"}}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestInterrupted: a story that is interrupted ends, and leaves no file that says
// it came to its end.
func TestInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "story")
	ctx, stop := context.WithCancel(t.Context())
	p := newPlay(dir, nil)
	p.Step = func(format string, args ...any) {
		if strings.Contains(format, "plant") {
			stop()
		}
	}
	if err := Run(ctx, p.Config); !errors.Is(err, context.Canceled) || len(p.ready) > 0 {
		t.Errorf("%v", err)
	}
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a file: %v", err)
	}
	if err := Run(t.Context(), newPlay(dir, nil).Config); pki.KindOf(err) != pki.Conflict {
		t.Errorf("and is taken up again: %v", err)
	}
}

// TestReadyFails: an error of Ready ends the run and is returned.
func TestReadyFails(t *testing.T) {
	broken := errors.New("standard output is closed")
	p := newPlay(filepath.Join(t.TempDir(), "story"), func(*File) error { return broken })
	p.Exit = false
	if err := Run(t.Context(), p.Config); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// certificates returns the certificates of a PEM file.
func certificates(t *testing.T, path string) (all []*x509.Certificate) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		t.Fatalf("%s holds no certificate", path)
	}
	return all
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return body
}

// A run that cannot bind its ports leaves nothing in the way of the next one, and
// a run that says nothing of addresses has those of the run before.
func TestAddresses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "story")
	taken, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := newPlay(dir, nil)
	p.Listen.HTTP = taken.Addr().String()
	if err := Run(t.Context(), p.Config); err == nil || !strings.Contains(err.Error(), "--http") {
		t.Fatalf("on a port that is taken: %v", err)
	}
	p = newPlay(dir, nil)
	if err := Run(t.Context(), p.Config); err != nil {
		t.Fatalf("the next run: %v", err)
	}
	first := *p.file
	p = newPlay(dir, nil)
	p.Listen = server.Listen{}
	if err := Run(t.Context(), p.Config); err != nil {
		t.Fatalf("without addresses: %v", err)
	}
	if diff := cmp.Diff(first, *p.file, cmp.Comparer(client.Token.Equal)); diff != "" {
		t.Errorf("quickstart.json (-first +second):\n%s", diff)
	}
}
