"""Writes the public items of rustdoc's JSON, one a line and sorted: what a user of the crate can name."""

import json
import sys

KINDS_WITH_IMPLS = ("struct", "enum", "union")
AUTO_TRAITS = ("Send", "Sync")


class Crate:
    def __init__(self, document):
        self.index = document["index"]
        self.lines = set()
        self.seen = set()

    def item(self, identity):
        return self.index.get(str(identity))

    # --- types

    def type(self, node):
        kind, value = next(iter(node.items())) if isinstance(node, dict) else (node, None)
        if kind == "resolved_path":
            return self.path(value)
        if kind in ("generic", "primitive"):
            return value
        if kind == "borrowed_ref":
            lifetime = value["lifetime"] + " " if value["lifetime"] else ""
            return f"&{lifetime}{'mut ' if value['is_mutable'] else ''}{self.type(value['type'])}"
        if kind == "raw_pointer":
            return f"*{'mut' if value['is_mutable'] else 'const'} {self.type(value['type'])}"
        if kind == "tuple":
            return "(" + ", ".join(map(self.type, value)) + ")"
        if kind == "slice":
            return f"[{self.type(value)}]"
        if kind == "array":
            return f"[{self.type(value['type'])}; {value['len']}]"
        if kind == "impl_trait":
            return "impl " + self.bounds(value)
        if kind == "dyn_trait":
            parts = [self.path(each["trait"]) for each in value["traits"]]
            return "dyn " + " + ".join(parts + ([value["lifetime"]] if value["lifetime"] else []))
        if kind == "qualified_path":
            outer = self.path(value["trait"]) if value["trait"] else None
            own = self.type(value["self_type"])
            return f"<{own} as {outer}>::{value['name']}" if outer else f"{own}::{value['name']}"
        if kind == "function_pointer":
            return "fn" + self.signature(value["sig"])
        return kind

    def path(self, path):
        return path["path"] + self.arguments(path.get("args"))

    def arguments(self, arguments):
        if not arguments:
            return ""
        if "parenthesized" in arguments:
            inner = arguments["parenthesized"]
            output = f" -> {self.type(inner['output'])}" if inner["output"] else ""
            return "(" + ", ".join(map(self.type, inner["inputs"])) + ")" + output
        inner = arguments["angle_bracketed"]
        parts = [self.argument(each) for each in inner["args"]]
        parts += [self.constraint(each) for each in inner.get("constraints", [])]
        return "<" + ", ".join(parts) + ">" if parts else ""

    def argument(self, argument):
        if argument == "infer":
            return "_"
        kind, value = next(iter(argument.items()))
        return self.type(value) if kind == "type" else value["expr"] if kind == "const" else value

    def constraint(self, constraint):
        kind, value = next(iter(constraint["binding"].items()))
        if kind == "constraint":
            return f"{constraint['name']}: {self.bounds(value)}"
        return f"{constraint['name']} = {self.type(value['type']) if 'type' in value else value}"

    def bounds(self, bounds):
        parts = []
        for bound in bounds:
            kind, value = next(iter(bound.items()))
            if kind == "trait_bound":
                mark = "?" if value["modifier"] == "maybe" else ""
                parts.append(mark + self.path(value["trait"]))
            elif kind == "outlives":
                parts.append(value)
        return " + ".join(parts)

    # --- generics and functions

    def generics(self, generics):
        parts = []
        for parameter in generics["params"]:
            kind, value = next(iter(parameter["kind"].items()))
            if kind == "type" and not value["is_synthetic"]:
                bounds = self.bounds(value["bounds"])
                parts.append(parameter["name"] + (f": {bounds}" if bounds else ""))
            elif kind == "const":
                parts.append(f"const {parameter['name']}: {self.type(value['type'])}")
            elif kind == "lifetime":
                parts.append(parameter["name"])
        return "<" + ", ".join(parts) + ">" if parts else ""

    def where(self, generics):
        parts = []
        for predicate in generics["where_predicates"]:
            kind, value = next(iter(predicate.items()))
            if kind == "bound_predicate":
                parts.append(f"{self.type(value['type'])}: {self.bounds(value['bounds'])}")
        return " where " + ", ".join(parts) if parts else ""

    def signature(self, signature):
        inputs = ", ".join(f"{name}: {self.type(kind)}" for name, kind in signature["inputs"])
        output = f" -> {self.type(signature['output'])}" if signature["output"] else ""
        return f"({inputs}){output}"

    def function(self, path, function):
        header = function["header"]
        words = [word for word in ("const", "async", "unsafe") if header[f"is_{word}"]]
        generics = function["generics"]
        start = " ".join(["pub", *words, "fn"])
        return f"{start} {path}{self.generics(generics)}{self.signature(function['sig'])}{self.where(generics)}"

    # --- items

    def walk(self, identity, prefix, name=None):
        item = self.item(identity)
        if item is None or item["visibility"] not in ("public", "default") or (identity, *prefix, name) in self.seen:
            return
        self.seen.add((identity, *prefix, name))
        kind, inner = next(iter(item["inner"].items()))
        path = "::".join([*prefix, name or item["name"] or ""])
        if any("non_exhaustive" in str(attribute) for attribute in item["attrs"]):
            self.lines.add(f"#[non_exhaustive] {path}")
        handler = getattr(self, f"show_{kind}", None)
        if handler:
            handler(path, inner, prefix)
        if kind in KINDS_WITH_IMPLS:
            self.implementations(path, inner["impls"])

    def show_module(self, path, module, _):
        self.lines.add(f"pub mod {path}")
        for child in module["items"]:
            self.walk(child, path.split("::"))

    def show_use(self, _, use, prefix):
        target = self.item(use["id"]) if use["id"] is not None else None
        if target is None:
            self.lines.add(f"pub use {'::'.join(prefix)}::{use['name']} = {use['source']}")
        elif use["is_glob"]:
            for child in next(iter(target["inner"].values())).get("items", []):
                self.walk(child, prefix)
        else:
            self.walk(use["id"], prefix, use["name"])

    def show_function(self, path, function, _):
        self.lines.add(self.function(path, function))

    def show_constant(self, path, constant, _):
        self.lines.add(f"pub const {path}: {self.type(constant['type'])}")

    def show_static(self, path, static, _):
        self.lines.add(f"pub static {path}: {self.type(static['type'])}")

    def show_type_alias(self, path, alias, _):
        self.lines.add(f"pub type {path}{self.generics(alias['generics'])} = {self.type(alias['type'])}")

    def show_macro(self, path, _, __):
        self.lines.add(f"pub macro {path}!")

    def show_struct(self, path, struct, _):
        self.lines.add(f"pub struct {path}{self.generics(struct['generics'])}")
        self.fields(path, struct["kind"])

    def show_enum(self, path, enum, _):
        self.lines.add(f"pub enum {path}{self.generics(enum['generics'])}")
        for identity in enum["variants"]:
            variant = self.item(identity)
            self.lines.add(f"pub {path}::{variant['name']}")
            self.fields(f"{path}::{variant['name']}", variant["inner"]["variant"]["kind"])

    def show_trait(self, path, trait, _):
        bounds = self.bounds(trait["bounds"])
        self.lines.add(f"pub trait {path}{self.generics(trait['generics'])}" + (f": {bounds}" if bounds else ""))
        self.members(path, trait["items"])

    def fields(self, path, kind):
        if not isinstance(kind, dict):
            return
        shape, value = next(iter(kind.items()))  # a struct says plain where a variant says struct
        fields = value if shape == "tuple" else value["fields"]
        for position, identity in enumerate(fields):
            field = self.item(identity) if identity is not None else None
            if field and field["visibility"] in ("public", "default"):
                name = field["name"] or position
                self.lines.add(f"pub {path}::{name}: {self.type(field['inner']['struct_field'])}")

    def members(self, path, items):
        for identity in items:
            item = self.item(identity)
            if item is None or item["visibility"] not in ("public", "default"):
                continue
            kind, inner = next(iter(item["inner"].items()))
            if kind == "function":
                self.lines.add(self.function(f"{path}::{item['name']}", inner))
            elif kind in ("assoc_const", "assoc_type"):
                self.lines.add(f"pub {kind.replace('assoc_', '')} {path}::{item['name']}")

    def implementations(self, path, impls):
        for identity in impls:
            item = self.item(identity)
            if item is None:
                continue
            implementation = item["inner"]["impl"]
            trait = implementation["trait"]
            if trait is None:
                self.members(path, implementation["items"])
            elif implementation["blanket_impl"] is None:
                auto = implementation["is_synthetic"]
                if auto and trait["path"].split("::")[-1] not in AUTO_TRAITS:
                    continue
                mark = "!" if implementation["is_negative"] else ""
                self.lines.add(f"impl {mark}{self.path(trait)} for {path}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    crate = Crate(document)
    crate.walk(document["root"], [])
    print("\n".join(sorted(crate.lines)))


main()
