package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/pando-pki/pando/client"
)

// alarmsCommand is "pando alarms".
type alarmsCommand struct {
	Check bool `help:"Exit with 1 where a critical one is among them."`
}

func (alarmsCommand) Help() string {
	return `Shows what is wrong at this moment, since when, and what to do about it: of the token's own tenant, and to a platform operator of every tenant and of the deployment. What concerns the deployment, as publish.late and anchor.near do, no tenant is shown, so a monitor that is to see it runs --check with the operator's token. What happened before stands in the events and in the server's log.

Examples:

    pando alarms
    pando alarms --check --json`
}

// Run lists the alarms.
func (a *alarmsCommand) Run(ctx context.Context, c *console, cl *client.Client) error {
	alarms, err := cl.Alarms(ctx)
	if err != nil {
		return err
	}
	who, err := cl.WhoAmI(ctx)
	if err != nil {
		return err
	}
	err = c.result(client.List[client.Alarm]{Items: alarms}, func(w io.Writer) error { return writeAlarms(w, alarms, who.Tenant) })
	critical := func(x client.Alarm) bool { return x.Severity == client.Critical }
	if err == nil && a.Check && slices.ContainsFunc(alarms, critical) {
		return errSilent
	}
	return err
}

// writeAlarms prints a table, and below it what is wrong and what to do about it, which is
// said once of those of a kind that have it in common. To somebody of a tenant, which is ""
// for a platform operator, it says that these are not all.
func writeAlarms(w io.Writer, alarms []client.Alarm, tenant string) error {
	const others = "those of the deployment need the platform operator's token"
	if len(alarms) == 0 {
		text := "no alarms"
		if tenant != "" {
			text += " of the tenant " + tenant + "; " + others
		}
		_, err := fmt.Fprintln(w, text)
		return err
	}
	rows := table{heading: []string{"SEVERITY", "ALARM", "TENANT", "TARGET", "SINCE"}}
	for _, x := range alarms {
		rows.add(x.Severity, x.Name, x.Tenant, x.Target, when(x.Since))
	}
	if err := rows.write(w); err != nil {
		return err
	}
	type advice struct{ name, do string }
	var order []advice
	whats := make(map[advice]string)
	for _, x := range alarms {
		k := advice{x.Name, x.Do}
		if _, ok := whats[k]; !ok {
			order = append(order, k)
		}
		of := ""
		if x.Target != "" {
			of = " of " + x.Target
		}
		if tenant == "" && x.Tenant != "" {
			of += ", tenant " + x.Tenant
		}
		whats[k] += lines(x.Name+of+": "+x.What) + "\n"
	}
	for _, k := range order {
		if _, err := fmt.Fprintf(w, "\n%s  %s\n", whats[k], k.do); err != nil {
			return err
		}
	}
	if tenant == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nThese are the alarms of the tenant %s; %s.\n", tenant, others)
	return err
}
