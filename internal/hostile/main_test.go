package hostile

import (
	"flag"
	"os"
	"testing"
)

// long asks for the limits that are the defaults, and for times.
var long = flag.Bool("hostile.long", false, "run the attacks with default limits and print a table with times")

// victimVariable makes the test binary the victim of its parent.
const victimVariable = "MQTT_HOSTILE_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		serveVictim()
		return
	}
	code := m.Run()
	if *long {
		brokerTable.print(os.Stdout)
		clientTable.print(os.Stdout)
	}
	os.Exit(code)
}
