package conformance_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed65a45251/mqtt/internal/conformancetest"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// Does a client answer PUBREC as the text wants it? The client is this project's; that
// of a program of its own is opened by Command:
//
//	Open: func(ctx context.Context) (conformance.Client, error) {
//		return conformance.Command(ctx, "python3", "driver.py")
//	},
func ExampleClientRun() {
	results, err := conformance.ClientRun{
		Open: conformancetest.Open,
		Only: func(s *conformance.Statement) bool { return s.Name == "pubrel-answers-pubrec" },
	}.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(conformance.ShowNumbers(r.Statement.Numbers(r.Version)), r)
	}
	// Output:
	// [MQTT-4.3.3-1] pubrel-answers-pubrec 3.1.1: passes
	// [MQTT-4.3.3-4] pubrel-answers-pubrec 5.0: passes
}
