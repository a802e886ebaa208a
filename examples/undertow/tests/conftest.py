"""The plugin of the copy: a test that asks for `kcompat_api` runs once with each optimizer API installed."""

pytest_plugins = ["undertow._vendor.kcompat.testing.plugin"]
