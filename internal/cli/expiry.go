package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
)

// expiryCommand is "pando expiry".
type expiryCommand struct {
	Days int `default:"90" placeholder:"N" help:"How far to look, from 1 to 1098 (default: ${default})."`
}

func (expiryCommand) Help() string {
	return `Reports what of the token's tenant ends within a window: authorities, the server's own certificates, CRLs of offline roots, tokens, endpoints whose certificates would outlive their authority, and how many certificates of devices, by month and profile. What somebody must act on is there whatever the window, and is an alarm too.

Examples:

    pando expiry
    pando expiry --days 365 --json`
}

// Run prints the report.
func (e *expiryCommand) Run(ctx context.Context, c *console, cl *client.Client) error {
	r, err := cl.Expiry(ctx, e.Days)
	if err != nil {
		return err
	}
	return c.result(r, func(w io.Writer) error {
		items := table{heading: []string{"ENDS", "KIND", "NAME", "SEVERITY"}}
		for _, x := range r.Items {
			items.add(when(x.Ends), x.Kind, x.Name, x.Severity)
		}
		if err := items.write(w); err != nil {
			return err
		}
		if len(r.Certificates) == 0 {
			return nil
		}
		fmt.Fprintln(w)
		counts := table{heading: []string{"MONTH", "PROFILE", "VERSION", "CERTIFICATES"}}
		for _, x := range r.Certificates {
			counts.add(x.Month, x.Profile, x.Version, x.Count)
		}
		return counts.write(w)
	})
}
