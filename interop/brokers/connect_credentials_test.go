package brokers

import (
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var credentials = behaviour{
	group: "Connecting", name: "checks passwords",
	what:  "the right name and password get in; a wrong password and a wrong name are refused with a reason",
	on:    guarded,
	probe: probeCredentials,
}

func probeCredentials(p *probe) verdict {
	p.connect(mqtt.Config{})
	for _, wrong := range []mqtt.Config{
		{Username: user, Password: "wrong"},
		{Username: "nobody", Password: secret},
	} {
		_, err := p.try(wrong)
		switch {
		case err == nil:
			return "lets anybody in"
		case !isReason(err, mqtt.BadUserNameOrPassword) && !isReason(err, mqtt.NotAuthorized):
			p.Log(err)
			return reasonOf(err)
		}
		require.True(p, mqtt.IsPermanent(err), err)
		require.NotContains(p, err.Error(), secret)
	}
	return yes
}
