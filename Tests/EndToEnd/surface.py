"""Every rpc there is, with what the contract says of it: read from the descriptors, so that none can be forgotten."""

import dataclasses
import functools
import re
import time

from google.protobuf import message_factory

from contract import message, pool

SERVICES = {
    "mainstreet.store.v1.StoreService": "store",
    "mainstreet.jobs.v1.JobsService": "store",
    "mainstreet.identity.v1.IdentityService": "identity",
    "mainstreet.identity.v1.AccessService": "identity",
}
PEOPLE = ("owner", "admin", "manager", "staff", "viewer", "customer")


@dataclasses.dataclass(frozen=True)
class Rpc:
    service: str
    method: str
    is_public: bool
    roles: tuple
    scopes: tuple
    # (HTTP method, path template), the additional ones among them.
    routes: tuple
    descriptor: object = dataclasses.field(compare=False, hash=False)

    @property
    def program(self):
        return SERVICES[self.service]

    def __str__(self):
        return self.method

    @property
    def wrong_role(self):
        """What somebody may be who may not do this; none where everybody may."""
        return next((role for role in PEOPLE if role not in self.roles), None)


@functools.cache
def rpcs():
    options = message_factory.GetMessageClass(pool().FindMessageTypeByName("google.protobuf.MethodOptions"))
    access = pool().FindExtensionByName("mainstreet.options.v1.access")
    http = pool().FindExtensionByName("google.api.http")
    found = []
    for service in SERVICES:
        for method in pool().FindServiceByName(service).methods:
            said = options.FromString(method.GetOptions().SerializeToString())
            rule, routes = said.Extensions[access], []
            if said.HasExtension(http):
                for binding in (said.Extensions[http], *said.Extensions[http].additional_bindings):
                    verb = binding.WhichOneof("pattern")
                    routes.append((verb.upper(), getattr(binding, verb)))
            found.append(
                Rpc(service, method.name, rule.public, tuple(rule.roles), tuple(rule.scopes), tuple(routes), method)
            )
    return found


def path(template, value="0190a0a0-0000-7000-8000-0000000000ff"):
    return re.sub(r"\{[^}]*\}", value, template)


def ids_in(descriptor):
    """The fields of a request that name something: `store_id`, `polls.store_id`, `filter.job_ids`."""
    for field in descriptor.fields:
        if field.message_type and field.message_type.full_name.startswith("mainstreet."):
            yield from (f"{field.name}.{inner}" for inner in ids_in(field.message_type))
        elif re.search(r"(^|_)ids?$", field.name):
            yield field.name


def filled(descriptor, ids):
    """A request that passes validation, which names `ids` by the names of their fields."""
    request = message(descriptor.full_name)
    for field in descriptor.fields:
        if field.containing_oneof and len(field.containing_oneof.fields) > 1:
            continue
        value = value_of(field, ids)
        if value is None:
            continue
        if field.is_repeated:
            getattr(request, field.name).append(value)
        elif field.message_type:
            getattr(request, field.name).CopyFrom(value)
        else:
            setattr(request, field.name, value)
    return request


# What is not to be said where it means less: a page, a moment, a choice of its own.
LEFT_OUT = {"limit", "cursor", "as_of", "policy", "external_id", "timezone", "expires_at", "died_from", "died_before"}
LEFT_OUT |= {"tenant", "tenant_id", "scopes", "refresh_token", "action", "hours", "currency", "shop_domain", "slug"}
TEXTS = {"email": "nobody@example.com", "payload": "{}", "settings": "{}", "kind": "", "error_code": ""}


def value_of(field, ids):
    if field.name in ids:
        return ids[field.name]
    if field.name in LEFT_OUT:
        return None
    if field.message_type:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return message("google.protobuf.Timestamp", seconds=int(time.time()) - 60)
        if field.message_type.full_name.startswith("mainstreet."):
            return filled(field.message_type, ids)
        return None
    if field.enum_type:
        return 1
    if field.type == field.TYPE_STRING:
        return TEXTS.get(field.name, "Correct-horse-battery") or None
    return 1
