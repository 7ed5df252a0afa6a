package otelmqtt

import "github.com/seed65a45251/mqtt"

// received reads a context from the user properties of a message.
type received struct{ *mqtt.Message }

func (c received) Get(key string) string {
	value, _ := c.UserProperty(key)
	return value
}

func (c received) Keys() (keys []string) {
	for _, p := range c.UserProperties {
		keys = append(keys, p.Name)
	}
	return keys
}

// Set does nothing: a message that was received is not changed.
func (received) Set(string, string) {}

// published writes a context into the user properties of a message.
type published struct{ *mqtt.PublishInfo }

func (c published) Get(key string) string { return received{c.Message}.Get(key) }

func (c published) Keys() []string { return received{c.Message}.Keys() }

func (c published) Set(key, value string) { c.AddUserProperty(key, value) }
