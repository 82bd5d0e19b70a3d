package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/server"
	"github.com/pando-pki/pando/internal/tbs"
)

// ceremonyCommand is "pando ceremony": the offline path, on files alone.
type ceremonyCommand struct {
	Root        ceremonyRoot        `cmd:"" help:"Make a root key and its certificate."`
	Sign        ceremonySign        `cmd:"" help:"Do the one act that a request file asks of a root."`
	Rollover    ceremonyRollover    `cmd:"" help:"Make the root that follows another, with the two certificates between them."`
	Certificate ceremonyCertificate `cmd:"" help:"Write a root's certificate again, from its journal."`
	Answer      ceremonyAnswer      `cmd:"" help:"Write the answer to a signed request again, from the journal."`
}

func (ceremonyCommand) Help() string {
	return `Run these on a machine that has no network. The root key is only ever in the sealed file, opened by a passphrase for one act.

The order of things: make the root here and carry its certificate to the server (pando authority import-root). For each authority carry its request here (pando authority request), sign it, and carry the answer back (pando authority install). Before the root's CRL ends, do the same with pando authority crl-request. Long before the root itself ends, have it followed by another (pando authority rollover).`
}

// ceremonyFlags are common to every act with a root key.
type ceremonyFlags struct {
	PassphraseFile string `placeholder:"FILE" help:"Read the passphrase from this file, of mode 0600, and do not ask."`
	Yes            bool   `help:"Do not ask before acting."`
}

// passphrase asks for it, or reads the file. New ones are asked for twice.
func (f *ceremonyFlags) passphrase(again string) (pki.Secret, error) {
	return passphraseFrom(f.PassphraseFile, "Passphrase of the root", again)
}

func passphraseFrom(file, prompt, again string) (pki.Secret, error) {
	if file != "" {
		return readSecretFile(file)
	}
	return askPassphrase(prompt, again)
}

// announce prints what is about to be done, and asks for a yes.
func (f *ceremonyFlags) announce(c *console, act *table, question string) error {
	if err := act.write(c.err); err != nil || f.Yes {
		return err
	}
	return confirm(question)
}

// ceremonyRoot is "pando ceremony root".
type ceremonyRoot struct {
	CommonName   string `required:"" placeholder:"NAME" help:"Common name of the root."`
	Organization string `required:"" placeholder:"NAME" help:"Organization of the root's subject."`
	Mode         string `required:"" enum:"production,test" placeholder:"MODE" help:"production, or test: what chains to a test root is never relied on."`
	Profile      string `placeholder:"FILE" help:"Profile document of the root certificate (default: the profile \"root\" of the pack \"common\")."`
	Out          string `required:"" placeholder:"FILE" help:"Write the sealed key to this new file."`
	Certificate  string `required:"" placeholder:"FILE" help:"Write the root's certificate to this new file, as PEM."`
	ceremonyFlags
}

func (ceremonyRoot) Help() string {
	return `Examples:

    pando ceremony root --common-name "Example Meter Root" --organization "Example Meters" \
        --mode production --out root.sealed --certificate root.pem`
}

// rootMade is the result of "pando ceremony root".
type rootMade struct {
	Sealed      string    `json:"sealed"`
	Certificate string    `json:"certificate"`
	SHA256      string    `json:"sha256"`
	NotAfter    time.Time `json:"not_after"`
}

// Run makes the root.
func (r *ceremonyRoot) Run(ctx context.Context, c *console) error {
	profile, err := r.profile(c)
	if err != nil {
		return err
	}
	for _, path := range []string{r.Out, r.Out + ".journal"} {
		if filepath.Clean(r.Certificate) == filepath.Clean(path) {
			return usagef("--certificate %s: the sealed key and its journal have files of their own", r.Certificate)
		}
	}
	if err := refuseExisting(r.Certificate); err != nil {
		return err
	}
	if err := refuseData(filepath.Dir(r.Out)); err != nil {
		return err
	}
	act := &table{}
	act.add("about to make", "a "+r.Mode+" root key and its certificate")
	act.add("common name", r.CommonName)
	act.add("organization", r.Organization)
	rules, err := policy.Parse(profile)
	if err != nil {
		return fmt.Errorf("root profile: %w", err)
	}
	if kinds := rules.KeyKinds(); len(kinds) > 0 {
		act.add("key", kinds[0])
	}
	act.add("profile SHA-256", fingerprint(profile))
	addDocument(act, string(profile))
	act.add("sealed key", r.Out)
	act.add("certificate", r.Certificate)
	act.add("valid from", when(time.Now())+", by this machine's clock")
	if err := r.announce(c, act, "Make this root?"); err != nil {
		return err
	}
	passphrase, err := r.passphrase("The same passphrase again")
	if err != nil {
		return err
	}
	out, err := c.reserve(r.Certificate)
	if err != nil {
		return err
	}
	defer out.drop()
	der, err := ceremony.NewRoot(ctx, ceremony.RootConfig{
		Mode: pki.Mode(r.Mode), CommonName: r.CommonName, Organization: r.Organization, Profile: profile,
		Passphrase: passphrase, Sealed: r.Out, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if err := out.write(encodeCertificate(der)); err != nil {
		return hintf(fmt.Errorf("the root is made, and its certificate could not be written: %w", err),
			"'pando ceremony certificate --root %s' writes it again", r.Out)
	}
	c.actDone(ctx, r.Out, r.Out+".journal", r.Certificate)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	made := rootMade{r.Out, r.Certificate, fingerprint(der), certificate.NotAfter}
	return c.result(made, func(w io.Writer) error {
		t := table{}
		t.add("sealed key", made.Sealed)
		t.add("certificate", made.Certificate)
		t.add("SHA-256", made.SHA256)
		t.add("not after", when(made.NotAfter))
		return t.write(w)
	})
}

// refuseData refuses a directory that is a server's. Whoever has the server would
// have the root, and backups of the one would hold the other.
func refuseData(dir string) error {
	if _, err := os.Stat(server.Config{Data: dir}.Database()); err == nil {
		return hintf(fmt.Errorf("%s is the data directory of a server", dir), "the sealed root is kept off the server: write it to a medium of its own")
	}
	return nil
}

// profile returns the root's profile document.
func (r *ceremonyRoot) profile(c *console) ([]byte, error) {
	if r.Profile == "" {
		return packs.Document("root")
	}
	return c.readInput(r.Profile, maxProfile)
}

// ceremonySign is "pando ceremony sign".
type ceremonySign struct {
	Root    string `required:"" placeholder:"FILE" help:"Sealed file of the root."`
	Request string `required:"" placeholder:"FILE" help:"Request, as 'pando authority request' or 'crl-request' writes it."`
	Out     string `required:"" placeholder:"FILE" help:"Write the answer to this new file, for 'pando authority install'."`
	Again   bool   `help:"Sign a request that was signed already: another certificate for the same key and name."`
	ceremonyFlags
}

func (ceremonySign) Help() string {
	return `A request is signed once: the journal knows it. Where the answer is lost, 'pando ceremony answer' writes it again. A CRL's number is used once, with or without --again.

Examples:

    pando ceremony sign --root root.sealed --request manufacturing.request.json --out manufacturing.answer.json`
}

// signed is the result of "pando ceremony sign".
type signed struct {
	Kind   string `json:"kind"` // certificate, crl or root
	Answer string `json:"answer"`
	SHA256 string `json:"sha256"` // of the certificate or the CRL

	// Of a root.
	NewWithOld string `json:"new_with_old_sha256,omitzero"`
	OldWithNew string `json:"old_with_new_sha256,omitzero"`
}

// Run does the act.
func (s *ceremonySign) Run(ctx context.Context, c *console) error {
	request, err := readRequest(s.Request)
	if err != nil {
		return err
	}
	act, err := describe(request)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Request, err)
	}
	if err := refuseExisting(s.Out); err != nil {
		return err
	}
	if err := s.announce(c, act, "Sign this?"); err != nil {
		return err
	}
	passphrase, err := s.passphrase("")
	if err != nil {
		return err
	}
	out, err := c.reserve(s.Out)
	if err != nil {
		return err
	}
	defer out.drop()
	response, err := ceremony.Sign(ctx, ceremony.SignConfig{Sealed: s.Root, Passphrase: passphrase, Request: request, Now: time.Now, Again: s.Again})
	if err != nil {
		return err
	}
	if err := writeAnswer(c, out, s.Out, response); err != nil {
		return hintf(fmt.Errorf("it is signed, and the answer could not be written: %w", err),
			"'pando ceremony answer --root %s --request %s' writes it again", s.Root, s.Request)
	}
	c.actDone(ctx, s.Root+".journal", s.Out)
	return nil
}

// readRequest reads a request file.
func readRequest(path string) (*ceremony.Request, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	request, err := ceremony.ReadRequest(f)
	if err != nil {
		return nil, hintf(fmt.Errorf("%s: %w", path, err), "name the file that 'pando authority request' or 'crl-request' wrote")
	}
	return request, nil
}

// writeAnswer writes an answer and says what it is.
func writeAnswer(c *console, out *output, path string, response *ceremony.Response) error {
	var answer bytes.Buffer
	if err := ceremony.WriteResponse(&answer, response); err != nil {
		return err
	}
	if err := out.write(answer.Bytes()); err != nil {
		return err
	}
	done := signed{Kind: response.Kind, Answer: path, SHA256: fingerprint(append(response.Certificate, response.CRL...))}
	if response.Kind == ceremony.KindRoot {
		done.NewWithOld, done.OldWithNew = fingerprint(response.NewWithOld), fingerprint(response.OldWithNew)
	}
	return c.result(done, func(w io.Writer) error {
		t := table{}
		t.add("signed", done.Kind)
		t.add("answer", done.Answer)
		t.add("SHA-256", done.SHA256)
		if done.NewWithOld != "" {
			t.add("SHA-256, new with old", done.NewWithOld)
			t.add("SHA-256, old with new", done.OldWithNew)
		}
		return t.write(w)
	})
}

// describe says what a request asks for, in the words of those who must agree.
func describe(r *ceremony.Request) (*table, error) {
	act := &table{}
	switch r.Kind {
	case ceremony.KindCertificate:
		csr, err := tbs.ParseCSR(r.CSR)
		if err != nil {
			return nil, fmt.Errorf("the certificate request in it cannot be read")
		}
		act.add("about to sign", "the certificate of an authority")
		act.add("common name", fmt.Sprintf("%q", r.CommonName))
		act.add("organization", fmt.Sprintf("%q", r.Organization))
		act.add("issuer id", fmt.Sprintf("%q", r.Issuer))
		act.add("key", csr.Key.Kind())
		act.add("key SHA-256", fingerprint(csr.Key.SPKI()))
		act.add("profile SHA-256", fingerprint([]byte(r.Profile)))
		addDocument(act, r.Profile)
	case ceremony.KindCRL:
		act.add("about to sign", "the root's revocation list")
		act.add("number", r.Number)
		act.add("days to the next one", r.Days)
		act.add("revoked", len(r.Entries))
		for _, e := range r.Entries {
			act.add("", fmt.Sprintf("%q %q %s", e.Serial, e.Reason, when(e.At)))
		}
	case ceremony.KindRoot:
		act.add("about to make", "the root that follows this one, and to sign each one's key with the other's")
		act.add("issuer id", fmt.Sprintf("%q", r.Issuer))
		act.add("key", fmt.Sprintf("%q", r.KeyKind))
		act.add("profile SHA-256", fingerprint([]byte(r.Profile)))
		addDocument(act, r.Profile)
	default:
		return nil, fmt.Errorf("kind %.40q: it is certificate, crl or root", r.Kind)
	}
	act.add("requested", when(r.Made)+", by the server's clock")
	act.add("now", when(time.Now())+", by this machine's clock")
	act.add("mode", r.Mode)
	act.add("root SHA-256", fmt.Sprintf("%q", r.Root))
	act.add("status names", fmt.Sprintf("%q", r.StatusURL))
	return act, nil
}

// addDocument adds a profile document as it stands: validity, path length and all.
func addDocument(act *table, document string) {
	for line := range strings.Lines(document) {
		act.add("", fmt.Sprintf("%q", strings.TrimRight(line, "\n")))
	}
}

// fingerprint returns the SHA-256 of b in hexadecimal.
func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
