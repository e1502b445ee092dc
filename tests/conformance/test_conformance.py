#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/conformance finds what is wrong, and nothing else."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / 'scripts/conformance'
TREE = {
    'tests/conformance/items.txt': '''
= AB Some chapter
AB-01 MLW 1.2 the first
AB-02 L - the second
AB-03 R 3 the third
AB-04 W B the fourth
''',
    'tests/conformance/settled.txt': '''# Why not.

[refused] Not here.
    by unit/x/test_a.c:second_test
    AB-03
''',
    'tests/conformance/open.txt': '''# What is missing.

[open] Nobody has done it.
    AB-04
''',
    'tests/conformance/offers.txt': '''
3 EAX 2 yes AccessSomething
    AB-01..02
''',
    'tests/unit/x/meson.build': "foreach name : ['a', 'b']\n",
    'tests/unit/x/test_a.c': '''
/* TLFS: AB-01 */
static void first_test(void **state)
{
}

/*
 * TLFS: AB-01
 * AB-02
 */
static void second_test(void **state)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_test),
		cmocka_unit_test(second_test),
	};
}
''',
    'tests/micro/meson.build': "    'guest': ['64'],\n",
    'tests/micro/guest.c': '''
/* TLFS: AB-02 */
static void third_test(void)
{
}

void test_main(void)
{
	third_test();
}
''',
    'tests/nested/run.py': '''
# TLFS: AB-02
@case(('a', 1),
      ('b', 2))
def boots(run):
    pass
''',
    'docs/x': '',
}


class Conformance(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name, text in TREE.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.run_script()

    def run_script(self, *options):
        done = subprocess.run([sys.executable, SCRIPT, '--root', self.root,
                               *options], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.stderr, '')
        return done.returncode, done.stdout

    def edit(self, name, old, new):
        path = self.root / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def assert_wrong(self, *words):
        """And it is not cured by writing the document."""
        self.run_script()
        status, out = self.run_script('--check')
        self.assertEqual(status, 1, out)
        for word in words:
            self.assertIn(word, out)

    def test_a_good_tree_is_good(self):
        status, out = self.run_script('--check')
        self.assertEqual(out, '2 of 3 items that Linux or Windows may rely on '
                         'are settled, 1 are open\n')
        self.assertEqual(status, 0)

    def test_the_document_names_tests_and_reasons(self):
        text = (self.root / 'docs/conformance.md').read_text()
        self.assertIn('| AB-01 | MLW | 1.2 | The first | 3.EAX[2] | '
                      '`x/test_a.c: first_test`, `x/test_a.c: second_test` |',
                      text)
        self.assertIn('`nested/run.py: boots`', text)
        self.assertIn('| no | refused: Not here. `x/test_a.c: second_test` |',
                      text)
        self.assertIn('open: Nobody has done it.', text)
        self.assertIn('| M, L or W | 3 | 2 | 0 | 0 | 0 | 1 |', text)

    def test_an_item_needs_a_test_or_a_reason(self):
        self.edit('tests/conformance/open.txt', 'AB-04', '')
        self.assert_wrong('AB-04 has neither')

    def test_a_tag_needs_an_item(self):
        self.edit('tests/unit/x/test_a.c', ' AB-01 */', ' AB-01 AB-77 */')
        self.assert_wrong('first_test: there is no AB-77')

    def test_a_reason_needs_an_item(self):
        self.edit('tests/conformance/settled.txt', 'AB-03', 'AB-03..05')
        self.assert_wrong('there is no AB-05')

    def test_a_tag_is_a_list_of_items(self):
        self.edit('tests/unit/x/test_a.c', 'TLFS: AB-01 */',
                  'TLFS: AB-01, AB-02 */')
        self.assert_wrong('first_test: not a list of items')

    def test_a_tag_stands_above_a_test(self):
        self.edit('tests/unit/x/test_a.c', 'AB-01 */\n',
                  'AB-01 */\nstatic int x;\n')
        self.assert_wrong('not above a test')

    def test_a_tagged_test_is_registered(self):
        self.edit('tests/unit/x/test_a.c', '\t\tTEST(first_test),\n', '')
        self.assert_wrong('first_test proves items, but is not run')

    def test_a_tagged_test_is_built(self):
        self.edit('tests/unit/x/meson.build', "'a', ", '')
        self.assert_wrong('first_test proves items, but is not run')

    def test_a_micro_guest_calls_what_is_tagged(self):
        self.edit('tests/micro/guest.c', '\tthird_test();\n', '')
        self.assert_wrong('third_test proves items, but is not run')

    def test_a_micro_guest_may_have_several_files(self):
        (self.root / 'tests/micro/more.c').write_text(
            '/* TLFS: AB-02 */\nvoid third_test(void)\n{\n}\n')
        self.edit('tests/micro/guest.c', 'static void third_test(void)\n{\n}',
                  'void third_test(void);')
        self.edit('tests/micro/guest.c', '/* TLFS: AB-02 */\n', '')
        self.assert_wrong('third_test proves items, but is not run')
        self.edit('tests/micro/meson.build', "['64']", "['64', 'more.c']")
        self.run_script()
        self.assertEqual(self.run_script('--check')[0], 0)

    def test_a_nested_case_is_one(self):
        self.edit('tests/nested/run.py', "@case(('a', 1),\n      ('b', 2))\n",
                  '')
        self.assert_wrong('boots proves items, but is not run')

    def test_a_reason_that_proof_made_stale_is_wrong(self):
        self.edit('tests/unit/x/test_a.c', ' AB-01 */',
                  ' AB-01 AB-03 AB-04 */')
        status, out = self.run_script('--check')
        self.assertEqual(status, 1)
        self.assertIn('AB-03 is refused, but first_test proves it', out)
        self.assertIn('AB-04 is open, but first_test proves it', out)

    def test_an_item_has_one_reason(self):
        self.edit('tests/conformance/open.txt', 'AB-04', 'AB-03 AB-04')
        self.assert_wrong('AB-03 has more than one reason')

    def test_a_refusal_names_a_test_that_is_run(self):
        self.edit('tests/conformance/settled.txt', ':second_test', ':gone')
        self.assert_wrong('there is no test unit/x/test_a.c:gone')
        self.edit('tests/conformance/settled.txt',
                  '    by unit/x/test_a.c:gone\n', '')
        self.assert_wrong('names no test')

    def test_other_states_than_open_are_not_open(self):
        self.edit('tests/conformance/open.txt', '[open]', '[guest]')
        self.assert_wrong('open.txt:3: not one of open')

    def test_an_old_document_is_found(self):
        self.edit('docs/conformance.md', 'The first', 'A first')
        status, out = self.run_script('--check')
        self.assertEqual(status, 1)
        self.assertIn('out of date', out)
        self.assertEqual(self.run_script()[0], 0)
        self.assertEqual(self.run_script('--check')[0], 0)

    def test_what_is_proven_is_taken_off_the_lists(self):
        lists = [self.root / 'tests/conformance' / name
                 for name in ('settled.txt', 'open.txt')]
        before = [path.read_text() for path in lists]
        self.run_script()
        self.assertEqual([path.read_text() for path in lists], before)
        self.edit('tests/unit/x/test_a.c', ' AB-01 */',
                  ' AB-01 AB-03 AB-04 */')
        self.assertEqual(self.run_script()[0], 0)
        self.assertEqual([path.read_text() for path in lists],
                         ['# Why not.\n', '# What is missing.\n'])


if __name__ == '__main__':
    unittest.main()
