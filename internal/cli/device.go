package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// deviceCommand is "pando device".
type deviceCommand struct {
	List         deviceList         `cmd:"" help:"List devices."`
	Show         deviceShow         `cmd:"" help:"Show one device."`
	Export       deviceExport       `cmd:"" help:"Write all devices that a search finds."`
	Import       deviceImport       `cmd:"" help:"Make devices known before they enrol."`
	Activate     deviceActivate     `cmd:"" help:"Say that devices are in the field."`
	Suspend      deviceSuspend      `cmd:"" help:"Put devices' certificates on hold, and let them enrol no more."`
	Resume       deviceResume       `cmd:"" help:"End the suspension of devices."`
	Return       deviceReturn       `cmd:"" help:"Say that devices came back, for repair for instance."`
	Decommission deviceDecommission `cmd:"" help:"Revoke devices' certificates and end their ids, for good."`
}

func (deviceCommand) Help() string {
	return `A device is planned, issued (it has had a certificate), active, suspended, returned or decommissioned. 'pando cert list --device ID' lists its certificates, 'pando cert trace SERIAL' tells all about one.`
}

// deviceFilter says which devices are wanted.
type deviceFilter struct {
	Prefix      string `placeholder:"TEXT" help:"Only those whose id begins so."`
	State       string `enum:",planned,issued,active,suspended,returned,decommissioned" default:"" placeholder:"STATE" help:"Only those in this state: planned, issued, active, suspended, returned or decommissioned."`
	ProductLine string `placeholder:"NAME" help:"Only this product line's."`
	Lot         string `placeholder:"NAME" help:"Only this lot's."`
	Site        string `placeholder:"NAME" help:"Only this site's."`
}

func (f *deviceFilter) filter() client.DeviceFilter { return client.DeviceFilter(*f) }

// deviceList is "pando device list".
type deviceList struct {
	deviceFilter
	Limit  int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Cursor string `placeholder:"TEXT" help:"Go on where an earlier list ended."`
}

func (deviceList) Help() string {
	return `A search that few devices fit may print fewer than --limit, and a cursor: the server looks at a bounded number of them at a time.

Examples:

    pando device list --lot lot-7 --state suspended`
}

// Run lists devices.
func (l *deviceList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := firstFound(l.Cursor, func(cursor string) (*client.List[client.Device], error) {
		return cl.Devices(ctx, l.filter(), cursor, l.Limit)
	})
	if err != nil {
		return err
	}
	return c.list(page, devices(page.Items...), "--cursor", page.Next)
}

// deviceExport is "pando device export".
type deviceExport struct {
	deviceFilter
	exportFlags
}

func (deviceExport) Help() string {
	return exportHelp + `

Examples:

    pando device export --product-line residential-meter --out meters.csv`
}

// Run exports devices.
func (e *deviceExport) Run(ctx context.Context, c *console, cl *client.Client) error {
	return e.write(c, func(f client.Format) (io.ReadCloser, error) { return cl.ExportDevices(ctx, e.filter(), e.Cursor, f) })
}

// deviceShow is "pando device show".
type deviceShow struct {
	ID string `arg:"" help:"Id of the device."`
}

// Run shows the device.
func (s *deviceShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Device(ctx, s.ID)
	if err != nil {
		return err
	}
	t := devices(*got)
	t.heading, t.rows[0] = append(t.heading, "OWNER"), append(t.rows[0], got.Owner)
	return c.result(got, t.write)
}

// devices prints devices for people.
func devices(items ...client.Device) *table {
	t := &table{heading: []string{"DEVICE", "STATE", "PRODUCT LINE", "LOT", "SITE", "UPDATED"}}
	for _, x := range items {
		t.add(x.Device, x.State, x.ProductLine, x.Lot, x.Site, when(x.Updated))
	}
	return t
}

// deviceImport is "pando device import".
type deviceImport struct {
	File        string `arg:"" help:"NDJSON, or CSV where its name ends in .csv; - is standard input, NDJSON."`
	ProductLine string `placeholder:"NAME" help:"Product line of rows that say nothing."`
	Lot         string `placeholder:"NAME" help:"Lot of rows that say nothing."`
	Site        string `placeholder:"NAME" help:"Site of rows that say nothing."`
}

func (deviceImport) Help() string {
	return `A row has "device" and, where wanted, "product_line", "lot" and "site"; CSV has a header with these names. Rows that are wrong are refused by themselves, and the exit status is then 1. The same list again changes nothing more.

    planned     is new
    moved       was planned, for another lot, product line or site, and is where the row says now
    unchanged   is where the row says already, or the row says no place of a device that is beyond planned
    refused     the row is wrong, or says another place of a device that is beyond planned: that stays where its certificates were issued

Examples:

    pando device import lot-7.csv --lot lot-7`
}

// Run imports the list.
func (i *deviceImport) Run(ctx context.Context, c *console, cl *client.Client) error {
	body, err := c.openInput(i.File)
	if err != nil {
		return err
	}
	defer body.Close()
	format := client.NDJSON
	if strings.HasSuffix(strings.ToLower(i.File), ".csv") {
		format = client.CSV
	}
	got, err := cl.ImportDevices(ctx, format, client.DeviceFilter{ProductLine: i.ProductLine, Lot: i.Lot, Site: i.Site}, body)
	if err != nil {
		return err
	}
	for _, p := range got.Problems {
		c.note("row %d: %s", p.Row, p.Reason)
	}
	err = c.result(got, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d planned, %d moved, %d unchanged, %d refused\n", got.Planned, got.Moved, got.Unchanged, got.Refused)
		return err
	})
	if err == nil && got.Refused > 0 {
		err = errSilent
	}
	return err
}

// deviceChange is what the commands that change states have in common.
type deviceChange struct {
	IDs  []string `arg:"" name:"id" help:"Ids of the devices."`
	Note string   `placeholder:"TEXT" help:"Why, for the events."`
}

// change carries an act out on each device in turn and prints those it was
// carried out on; it ends at the first that is refused.
func (d *deviceChange) change(ctx context.Context, c *console, cl *client.Client, act string) error {
	done := client.List[client.Device]{Items: []client.Device{}}
	var err error
	for _, id := range d.IDs {
		var got *client.Device
		if got, err = cl.ChangeDevice(ctx, id, act, client.DeviceChange{Note: d.Note}); err != nil {
			err = fmt.Errorf("device %s: %w", id, err)
			break
		}
		done.Items = append(done.Items, *got)
	}
	if len(done.Items) > 0 {
		if err := c.result(done, devices(done.Items...).write); err != nil {
			return err
		}
	}
	return err
}

// deviceActivate is "pando device activate".
type deviceActivate struct{ deviceChange }

func (deviceActivate) Help() string {
	return "For devices that are issued or returned.\n\nExamples:\n\n    pando device activate SM-000001 SM-000002"
}

// Run activates the devices.
func (d *deviceActivate) Run(ctx context.Context, c *console, cl *client.Client) error {
	return d.change(ctx, c, cl, "activate")
}

// deviceSuspend is "pando device suspend".
type deviceSuspend struct{ deviceChange }

func (deviceSuspend) Help() string {
	return "For devices that are issued, active or returned. What is on hold can be released: 'pando device resume'.\n\nExamples:\n\n    pando device suspend SM-000001 --note \"reported stolen\""
}

// Run suspends the devices.
func (d *deviceSuspend) Run(ctx context.Context, c *console, cl *client.Client) error {
	return d.change(ctx, c, cl, "suspend")
}

// deviceResume is "pando device resume".
type deviceResume struct{ deviceChange }

func (deviceResume) Help() string {
	return "A device is again what it was before it was suspended. Certificates that were on hold before that stay so.\n\nExamples:\n\n    pando device resume SM-000001"
}

// Run resumes the devices.
func (d *deviceResume) Run(ctx context.Context, c *console, cl *client.Client) error {
	return d.change(ctx, c, cl, "resume")
}

// deviceReturn is "pando device return".
type deviceReturn struct{ deviceChange }

func (deviceReturn) Help() string {
	return "For devices that are issued or active. Their certificates stay as they are.\n\nExamples:\n\n    pando device return SM-000001 --note \"RMA 4711\""
}

// Run says that the devices are back.
func (d *deviceReturn) Run(ctx context.Context, c *console, cl *client.Client) error {
	return d.change(ctx, c, cl, "return")
}

// deviceDecommission is "pando device decommission".
type deviceDecommission struct {
	deviceChange
	Yes bool `help:"Do not ask."`
}

func (deviceDecommission) Help() string {
	return "The certificates that have not expired are revoked with the reason cessationOfOperation, and the ids never enrol again. It cannot be undone.\n\nExamples:\n\n    pando device decommission SM-000001 --note scrapped"
}

// Run decommissions the devices.
func (d *deviceDecommission) Run(ctx context.Context, c *console, cl *client.Client) error {
	if !d.Yes {
		question, err := d.question(ctx, cl)
		if err != nil {
			return err
		}
		if err := confirm(question); err != nil {
			return err
		}
	}
	return d.change(ctx, c, cl, "decommission")
}

// namedDevices is how many devices a question names.
const namedDevices = 10

// question says which devices are ended and how many certificates are revoked.
func (d *deviceDecommission) question(ctx context.Context, cl *client.Client) (string, error) {
	live := 0
	for _, id := range d.IDs {
		for _, state := range []string{client.Good, client.Held} {
			n, err := countCertificates(ctx, cl, client.CertificateQuery{Device: id, Status: state})
			if err != nil {
				return "", fmt.Errorf("device %s: %w", id, err)
			}
			live += n
		}
	}
	names := strings.Join(d.IDs[:min(len(d.IDs), namedDevices)], ", ")
	if more := len(d.IDs) - namedDevices; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("This ends %s, whose ids never enrol again, and revokes %s, for good: %s.",
		pki.Count(len(d.IDs), "device"), pki.Count(live, "certificate"), names), nil
}

// countCertificates returns how many certificates a search finds.
func countCertificates(ctx context.Context, cl *client.Client, q client.CertificateQuery) (int, error) {
	n, cursor := 0, ""
	for {
		page, err := cl.Certificates(ctx, q, cursor, 1000)
		if err != nil {
			return 0, err
		}
		n += len(page.Items)
		if cursor = page.Next; cursor == "" {
			return n, nil
		}
	}
}
