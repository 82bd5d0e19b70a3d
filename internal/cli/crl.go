package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// crlCommand is "pando crl".
type crlCommand struct {
	Show    crlShow    `cmd:"" help:"Show what is in a CRL."`
	Check   crlCheck   `cmd:"" help:"Fetch every CRL of the tenant, and say how fresh it is."`
	Publish crlPublish `cmd:"" help:"Have CRLs be made anew, which are then published."`
}

func (crlCommand) Help() string {
	return `A CRL is named by the id of its issuer, as 'pando authority show NAME' shows it, and its shard, ISSUER/SHARD, and a delta CRL ISSUER/SHARD-delta.`
}

// maxCRLFile is the size of the largest CRL that is read, in bytes.
const maxCRLFile = 1 << 30

// crlShow is "pando crl show".
type crlShow struct {
	CRL     string `arg:"" name:"crl" help:"A file, DER or PEM (- is standard input); a URL; or ISSUER/SHARD, which is fetched from its URL."`
	Entries int    `default:"10" empty:"none" help:"Show so many entries (default: ${default})."`
}

func (crlShow) Help() string {
	return `The signature is not verified: 'pando crl check' does that, and 'openssl crl -CAfile'.

Examples:

    pando crl show http://pki.example.com/crl/5m2k8c0q4r/0.crl
    pando crl show 5m2k8c0q4r/0-delta --entries 100
    pando crl show shard.crl --json`
}

// crlDump is a CRL as "pando crl show" prints it.
type crlDump struct {
	Issuer     string     `json:"issuer"`
	IssuerKey  string     `json:"issuer_key_id"`
	Number     int64      `json:"number"`
	Base       int64      `json:"base,omitzero"`
	ThisUpdate time.Time  `json:"this_update"`
	NextUpdate time.Time  `json:"next_update"`
	Scope      string     `json:"scope,omitempty"`
	Freshest   string     `json:"freshest,omitempty"`
	Bytes      int        `json:"bytes"`
	Count      int        `json:"count"`
	Entries    []crlEntry `json:"entries"`
}

type crlEntry struct {
	Serial string    `json:"serial"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

var issuerName = regexp.MustCompile(`^[0-9a-v]{20,}$`)

// authorityLike is what may be the name of an authority.
var authorityLike = regexp.MustCompile(`^[0-9a-z-]+$`)

var listName = regexp.MustCompile(`^([0-9a-z-]+)/([0-9]+)(-delta)?$`)

// Run shows the CRL.
func (s *crlShow) Run(ctx context.Context, c *console, g *globals) error {
	der, err := s.read(ctx, c, g)
	if err != nil {
		return err
	}
	crl, err := tbs.ParseCRL(der)
	if err != nil {
		return fmt.Errorf("%s: %w", s.CRL, err)
	}
	name, err := tbs.ParseName(crl.Issuer)
	if err != nil {
		return fmt.Errorf("%s: %w", s.CRL, err)
	}
	dump := &crlDump{
		Issuer: name.String(), IssuerKey: fmt.Sprintf("%x", crl.IssuerKeyID), Number: crl.Number, Base: crl.Base,
		ThisUpdate: crl.ThisUpdate, NextUpdate: crl.NextUpdate, Scope: crl.URL, Freshest: crl.Freshest, Bytes: len(der), Entries: []crlEntry{},
	}
	for e, err := range crl.Entries() {
		if err != nil {
			return fmt.Errorf("%s: %w", s.CRL, err)
		}
		if dump.Count++; dump.Count <= s.Entries {
			dump.Entries = append(dump.Entries, crlEntry{e.Serial.String(), e.At, e.Reason.String()})
		}
	}
	return c.result(dump, dump.write)
}

// read gets the DER from where the argument says.
func (s *crlShow) read(ctx context.Context, c *console, g *globals) ([]byte, error) {
	if strings.HasPrefix(s.CRL, "http://") || strings.HasPrefix(s.CRL, "https://") {
		return fetch(ctx, s.CRL, maxCRLFile)
	}
	if _, err := os.Stat(s.CRL); errors.Is(err, os.ErrNotExist) && listName.MatchString(s.CRL) {
		cl, err := g.connect(c)
		if err != nil {
			return nil, err
		}
		crls, err := cl.CRLs(ctx)
		if err != nil {
			return nil, err
		}
		issuer, _, _ := strings.Cut(s.CRL, "/")
		there := false
		for _, l := range crls {
			if listOf(&l) == s.CRL {
				return fetch(ctx, l.URL, maxCRLFile)
			}
			there = there || l.Issuer == issuer
		}
		if !there {
			return nil, hintf(pki.Errorf(pki.NotFound, "no issuer %q that has CRLs", issuer), issuerHint)
		}
		return nil, hintf(pki.Errorf(pki.NotFound, "the tenant has no CRL %s", s.CRL), "'pando crl check' lists the CRLs")
	}
	der, err := c.readPEM(s.CRL, "X509 CRL", maxCRLFile)
	switch {
	case !errors.Is(err, os.ErrNotExist):
	case issuerName.MatchString(s.CRL):
		err = hintf(err, "a CRL of an issuer is named with its shard: 'pando crl show %s/0'", s.CRL)
	case authorityLike.MatchString(s.CRL):
		err = hintf(err, "a CRL that is in no file is named ISSUER/SHARD; %s", issuerHint)
	}
	return der, err
}

// listOf returns the name of a CRL's list.
func listOf(l *client.CRL) string {
	name := fmt.Sprintf("%s/%d", l.Issuer, l.Shard)
	if l.Delta {
		name += "-delta"
	}
	return name
}

func (d *crlDump) write(w io.Writer) error {
	t := table{}
	t.add("issuer", d.Issuer)
	t.add("issuer key", d.IssuerKey)
	t.add("number", d.Number)
	if d.Base > 0 {
		t.add("delta to", fmt.Sprintf("number %d", d.Base))
	}
	t.add("this update", when(d.ThisUpdate))
	t.add("next update", when(d.NextUpdate))
	t.add("scope", d.Scope)
	if d.Freshest != "" {
		t.add("delta CRL", d.Freshest)
	}
	t.add("size", fmt.Sprintf("%d bytes", d.Bytes))
	t.add("entries", d.Count)
	if err := t.write(w); err != nil || len(d.Entries) == 0 {
		return err
	}
	rows := table{heading: []string{"SERIAL", "REVOKED", "REASON"}}
	for _, e := range d.Entries {
		rows.add(e.Serial, when(e.At), e.Reason)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := rows.write(w); err != nil || d.Count == len(d.Entries) {
		return err
	}
	_, err := fmt.Fprintf(w, "and %d more\n", d.Count-len(d.Entries))
	return err
}

// crlCheck is "pando crl check".
type crlCheck struct{}

func (crlCheck) Help() string {
	return `Fetches each CRL from the URL that certificates name, from this machine, verifies it, and compares it with what the server has. Fails where one is not as it must be, so that a monitor may run it from elsewhere in the network. It does not look at the targets of status.publish: the server does, each minute, and raises alarms.

    fresh         less than half of its life is over
    late          more than half of its life is over, and there is no new one
    over          it ran out
    behind        the server has a later one for more than two minutes
    wrong         it is not the issuer's CRL
    none          the server has made none yet
    unreachable   it cannot be fetched from here

Examples:

    pando crl check
    pando crl check --json`
}

// crlFinding is what is found of one CRL.
type crlFinding struct {
	CRL        string    `json:"crl"`
	State      string    `json:"state"`
	Number     int64     `json:"number"`
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Why        string    `json:"why,omitempty"`
}

// fetchers is how many CRLs are fetched at once.
const fetchers = 8

// Run checks all CRLs.
func (k *crlCheck) Run(ctx context.Context, c *console, cl *client.Client) error {
	issuers, err := issuersOf(ctx, cl)
	if err != nil {
		return err
	}
	crls, err := cl.CRLs(ctx)
	if err != nil {
		return err
	}
	findings := make([]crlFinding, len(crls))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for n := range crls {
		g.Go(func() error {
			findings[n] = checkCRL(ctx, &crls[n], issuers[crls[n].Issuer])
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t := table{heading: []string{"CRL", "STATE", "NUMBER", "THIS UPDATE", "NEXT UPDATE", "WHY"}}
	bad := false
	for _, f := range findings {
		t.add(f.CRL, f.State, f.Number, when(f.ThisUpdate), when(f.NextUpdate), f.Why)
		bad = bad || f.State != "fresh"
	}
	if err := c.result(client.List[crlFinding]{Items: findings}, t.write); err != nil {
		return err
	}
	if bad {
		return errSilent
	}
	return nil
}

// issuersOf returns the certificates of the tenant's issuers by their ids.
func issuersOf(ctx context.Context, cl *client.Client) (map[string]*tbs.Parsed, error) {
	authorities, err := cl.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	issuers := make(map[string]*tbs.Parsed)
	for _, a := range authorities {
		for _, i := range a.Issuers {
			block, _ := pem.Decode([]byte(i.Certificate))
			if block == nil {
				continue // pending
			}
			if issuers[i.ID], err = tbs.ParseCertificate(block.Bytes); err != nil {
				return nil, err
			}
		}
	}
	return issuers, nil
}

// checkCRL fetches and judges one CRL.
func checkCRL(ctx context.Context, l *client.CRL, issuer *tbs.Parsed) crlFinding {
	f := crlFinding{CRL: listOf(l), Number: l.Number}
	if l.Number == 0 {
		f.State = "none"
		return f
	}
	der, err := fetch(ctx, l.URL, maxCRLFile)
	if err != nil {
		f.State, f.Why = "unreachable", err.Error()
		return f
	}
	crl, err := tbs.ParseCRL(der)
	switch {
	case err != nil:
	case issuer == nil:
		err = errors.New("the tenant has no such issuer")
	case (crl.Base > 0) != l.Delta, crl.URL != "" && crl.URL != scopeOf(l):
		err = errors.New("it is another list's")
	default:
		err = crl.CheckSignedBy(issuer)
	}
	if err != nil {
		f.State, f.Why = "wrong", err.Error()
		return f
	}
	f.Number, f.ThisUpdate, f.NextUpdate = crl.Number, crl.ThisUpdate, crl.NextUpdate
	now := time.Now()
	switch {
	case !now.Before(crl.NextUpdate):
		f.State = "over"
	case crl.Number < l.Number && now.Sub(l.ThisUpdate) > 7*time.Minute: // five of which thisUpdate is early
		f.State, f.Why = "behind", fmt.Sprintf("the server has number %d", l.Number)
	case !now.Before(crl.ThisUpdate.Add(crl.NextUpdate.Sub(crl.ThisUpdate) / 2)):
		f.State = "late"
	default:
		f.State = "fresh"
	}
	return f
}

// scopeOf returns the URL in the IssuingDistributionPoint of a list's CRLs. A delta
// CRL has the scope of the full CRL that it is to (RFC 5280, 5.2.4), so it names that
// one's URL, not its own.
func scopeOf(l *client.CRL) string {
	if at, isDelta := strings.CutSuffix(l.URL, "-delta.crl"); isDelta && l.Delta {
		return at + ".crl"
	}
	return l.URL
}

// crlPublish is "pando crl publish".
type crlPublish struct {
	CRL  string        `arg:"" name:"crl" help:"ISSUER for all its shards, or ISSUER/SHARD."`
	Wait time.Duration `default:"30s" help:"Wait so long for the new CRLs (default: ${default}; 0s: not at all)."`
}

func (crlPublish) Help() string {
	return `CRLs are made by themselves, in time and after revocations. This is for after a fault, or a change of where they are published. It waits until the server has the new ones; to the targets of status.publish the publisher brings them by itself, at once or, where a target failed, within a minute after it is well again.

Examples:

    pando crl publish 5m2k8c0q4r
    pando crl publish 5m2k8c0q4r/17 --wait 2m`
}

var shardName = regexp.MustCompile(`^([0-9a-z-]+)(?:/([0-9]{1,5}))?$`)

// Run asks for the CRLs, and waits until each has a number above the one before.
func (p *crlPublish) Run(ctx context.Context, c *console, cl *client.Client) error {
	parts := shardName.FindStringSubmatch(p.CRL)
	if parts == nil {
		return hintf(usagef("%q: name the id of an issuer, or ISSUER/SHARD", p.CRL), issuerHint)
	}
	var shard *int
	if parts[2] != "" {
		n := 0
		if _, err := fmt.Sscan(parts[2], &n); err != nil {
			return err
		}
		shard = &n
	}
	before, err := p.lists(ctx, cl, parts[1], shard)
	if err != nil {
		return err
	}
	if err := cl.RenewCRLs(ctx, parts[1], shard); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.Wait)
	defer cancel()
	after := before
	for p.Wait > 0 && len(older(before, after)) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d CRLs are not there after %s; they follow", len(older(before, after)), len(before), p.Wait)
		case <-time.After(200 * time.Millisecond):
		}
		if after, err = p.lists(ctx, cl, parts[1], shard); err != nil {
			return err
		}
	}
	t := table{heading: []string{"CRL", "NUMBER", "NEXT UPDATE"}}
	for _, l := range after {
		t.add(listOf(&l), l.Number, when(l.NextUpdate))
	}
	return c.result(client.List[client.CRL]{Items: after}, t.write)
}

// lists returns the CRLs of an issuer, or of a shard of it.
func (p *crlPublish) lists(ctx context.Context, cl *client.Client, issuer string, shard *int) ([]client.CRL, error) {
	all, err := cl.CRLs(ctx)
	var own []client.CRL
	for _, l := range all {
		if l.Issuer == issuer && (shard == nil || l.Shard == *shard) {
			own = append(own, l)
		}
	}
	return own, err
}

// older returns those of after that are not above the same of before.
func older(before, after []client.CRL) (left []client.CRL) {
	for n, l := range after {
		if n < len(before) && l.Number <= before[n].Number {
			left = append(left, l)
		}
	}
	return left
}

// parsePEMChain reads the certificates of a file, PEM or one in DER.
func parsePEMChain(path string, text []byte) (chain []*tbs.Parsed, err error) {
	if _, err := x509.ParseCertificate(text); err == nil {
		text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		p, err := tbs.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		chain = append(chain, p)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: it holds no certificate", path)
	}
	return chain, nil
}
