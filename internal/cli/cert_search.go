package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// certFilter says which certificates are wanted.
type certFilter struct {
	Serial      string    `placeholder:"HEX" help:"Serial number."`
	Fingerprint string    `placeholder:"HEX" help:"SHA-256 of the certificate."`
	Device      string    `placeholder:"ID" help:"Its device."`
	Lot         string    `placeholder:"NAME" help:"Lot of its device when it was issued."`
	ProductLine string    `placeholder:"NAME" help:"Product line of its device when it was issued."`
	Batch       string    `placeholder:"ID" help:"The batch that it came from."`
	Subject     string    `placeholder:"WORDS" help:"Words with which words of its subject begin."`
	Status      string    `enum:",good,held,revoked,expired" default:"" placeholder:"STATUS" help:"good, held, revoked or expired."`
	Issuer      string    `placeholder:"ID" help:"Id of its issuer, as 'pando authority show' shows it."`
	Profile     string    `placeholder:"NAME" help:"Its profile."`
	Owner       string    `placeholder:"TENANT" help:"Its owner: your tenant, or a child that you issued it for."`
	ExpiresFrom time.Time `format:"2006-01-02" placeholder:"YYYY-MM-DD" help:"It expires on this day or later (UTC)."`
	ExpiresTo   time.Time `format:"2006-01-02" placeholder:"YYYY-MM-DD" help:"It expires on this day or earlier (UTC)."`
}

func (f *certFilter) query() client.CertificateQuery {
	q := client.CertificateQuery(*f)
	if !q.ExpiresTo.IsZero() {
		q.ExpiresTo = q.ExpiresTo.AddDate(0, 0, 1).Add(-time.Second) // to the end of the day
	}
	return q
}

// index returns which index leads the search where none of what every authority keeps
// an index of does.
func (f *certFilter) index() pki.SearchIndex {
	switch {
	case f.Fingerprint != "":
		return pki.IndexFingerprint
	case f.Subject != "":
		return pki.IndexSubject
	}
	return pki.IndexExpiry
}

// certSearchHelp is what the help of searches says.
const certSearchHelp = `All that is said must hold. One criterion leads the search: serial, batch, device, fingerprint, lot, subject, product line, an owner that is a child, expiry, or the status revoked or held. Fingerprint, subject and expiry lead only among authorities that have that index ('pando authority create --index', 'pando authority index').`

// certList is "pando cert list".
type certList struct {
	certFilter
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Cursor string `placeholder:"TEXT" help:"Go on where an earlier list ended."`
}

func (certList) Help() string {
	return certSearchHelp + ` A search that few certificates fit may print fewer than --limit, and a cursor: the server looks at a bounded number of them at a time.

Examples:

    pando cert list --device SM-000001
    pando cert list --lot lot-7 --status revoked`
}

// Run lists certificates.
func (l *certList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := firstFound(l.Cursor, func(cursor string) (*client.List[client.Certificate], error) {
		return cl.Certificates(ctx, l.query(), cursor, l.Limit)
	})
	if err != nil {
		return err
	}
	t := table{heading: []string{"ISSUER", "SERIAL", "DEVICE", "PROFILE", "STATUS", "NOT AFTER"}}
	for _, x := range page.Items {
		t.add(x.Issuer, x.Serial, x.Device, fmt.Sprintf("%s v%d", x.Profile.Name, x.Profile.Version), x.Status.State, when(x.NotAfter))
	}
	if len(page.NotSearched) > 0 {
		c.note("not searched: the certificates of %s, which have no index %s; name a device, lot, batch or product line besides, and theirs are searched, too, or see 'pando authority index --help'",
			strings.Join(page.NotSearched, ", "), l.index())
	}
	return c.list(page, &t, "--cursor", page.Next)
}

// certExport is "pando cert export".
type certExport struct {
	certFilter
	exportFlags
}

func (certExport) Help() string {
	return certSearchHelp + "\n\n" + exportHelp + `

Examples:

    pando cert export --product-line residential-meter --status revoked --out revoked.csv`
}

// Run exports certificates.
func (e *certExport) Run(ctx context.Context, c *console, cl *client.Client) error {
	return e.write(c, func(f client.Format) (io.ReadCloser, error) {
		return cl.ExportCertificates(ctx, e.query(), e.Cursor, f)
	})
}
